/* Content codings of bodies: at once, or as a stream by _quintette.Encoder. What compressing needs
 * in memory is kept for the next body, a bounded number of times. */
#ifndef Q5PY_ENCODER_H
#define Q5PY_ENCODER_H

#include "q5py.h"

#include "q5/compress.h"

/* A length of padding, 1 to Q5_COMPRESS_PAD_MAX. */
size_t q5py_random_pad(q5py_state *state);
/* The whole body coded, with `pad` bytes of padding: new bytes, or NULL with an exception. With
 * may_block the GIL is given up for a long one; `body` must be kept alive, and unchanged,
 * meanwhile. */
PyObject *q5py_encode_whole(q5py_state *state, q5_coding coding, int level, size_t pad,
                            q5_slice body, bool may_block);
/* An Encoder for a stream; new reference, or NULL with an exception. */
PyObject *q5py_encoder_new(q5py_state *state, q5_coding coding, int level, size_t pad);

/* What can be decoded of the data so far; the end of the stream. New references to bytes, or NULL
 * with an exception. */
PyObject *q5py_encoder_flush(PyObject *encoder, q5_slice data);
PyObject *q5py_encoder_finish(PyObject *encoder);

/* Drops what is kept. */
void q5py_encoders_free(q5py_state *state);
int q5py_init_encoder(PyObject *module, q5py_state *state);

#endif
