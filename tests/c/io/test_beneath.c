/* The kernel's RESOLVE_BENEATH is the model: in random trees full of links the walk must open the
 * same file, or refuse as it does. One seed replays a run. */
#include "io/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "q5test.h"

#define TREES 150
#define ENTRIES 24
#define PATHS 400

static uint32_t seed;

static uint32_t pick(uint32_t n) {
    seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return (seed >> 16) % n;
}

/* Few names, so that paths hit something. */
static void random_path(char *out, size_t size, uint32_t components) {
    static const char *const words[] = {"a", "b", "c", "d", "a", "b", ".", ".."};
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < components; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i ? pick(8) ? "/" : "//" : "",
                                words[pick(8)]);
    if (pick(8) == 0) snprintf(out + len, size - len, "/");
}

/* Entries are made through descriptors of real directories only, by names without a slash and
 * never through a link, so that nothing can be made elsewhere. */
static void grow(int outer, int root) {
    static const char *const names[] = {"a", "b", "c", "d"};
    int dirs[2 + ENTRIES] = {outer, root};
    size_t count = 2;
    for (int i = 0; i < ENTRIES; i++) {
        int dir = dirs[pick((uint32_t)count)];
        const char *name = names[pick(4)];
        char target[64];
        random_path(target, sizeof(target), 1 + pick(4));
        switch (pick(4)) {
        case 0:
            if (mkdirat(dir, name, 0755) == 0)
                dirs[count++] = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            break;
        case 1:
            (void)!symlinkat(pick(8) ? target : "/", dir, name);
            break;
        case 2:
            (void)!symlinkat(names[pick(4)], dir, name);
            break;
        default: {
            int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
            if (fd >= 0) close(fd);
        }
        }
    }
    while (count > 2)
        close(dirs[--count]);
}

static int remove_tree(const char *dir) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static size_t compare(int root, uint32_t tree) {
    size_t opened = 0;
    for (int i = 0; i < PATHS; i++) {
        char path[64];
        random_path(path, sizeof(path), 1 + pick(5));
        int kernel = q5__beneath_openat2(root, path);
        int kernel_error = errno;
        int walk = q5__beneath_walk(root, path);
        int walk_error = errno;
        if ((kernel < 0) != (walk < 0) || (kernel < 0 && kernel_error != walk_error))
            fail_msg("tree %u, %s: %d (%s), %d (%s)", tree, path, kernel, strerror(kernel_error),
                     walk, strerror(walk_error));
        if (kernel < 0) continue;
        struct stat a, b;
        assert_int_equal(fstat(kernel, &a), 0);
        assert_int_equal(fstat(walk, &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(a.st_dev, b.st_dev);
        opened += S_ISREG(a.st_mode);
        close(kernel);
        close(walk);
    }
    return opened;
}

static void test_walk_as_the_kernel_does(void **state) {
    (void)state;
    size_t opened = 0;
    for (uint32_t tree = 0; tree < TREES; tree++) {
        seed = tree;
        char dir[] = "/tmp/q5-test-beneath-XXXXXX";
        assert_non_null(mkdtemp(dir));
        int outer = open(dir, O_RDONLY | O_DIRECTORY);
        assert_int_equal(mkdirat(outer, "a", 0755), 0);
        int root = openat(outer, "a", O_RDONLY | O_DIRECTORY);
        int fd = q5__beneath_openat2(root, ".");
        bool has_model = fd >= 0;
        if (has_model) close(fd);
        if (has_model) {
            grow(outer, root);
            opened += compare(root, tree);
        }
        close(root);
        close(outer);
        assert_int_equal(remove_tree(dir), 0);
        if (!has_model) skip();
    }
    assert_true(opened > 1000); /* else the trees would show nothing */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_as_the_kernel_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
