# One place for the flags that every target of ours is built with.
function(q5_target_flags target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wvla -fno-strict-aliasing -fstack-protector-strong)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O2 -g1>)
  if(Q5_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${Q5_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${Q5_SANITIZE})
    # greenlet moves slices of the C stack away and back. AddressSanitizer's marks around a frame's
    # variables stay where the frame was, and would accuse whoever runs there next: no marks on the
    # stack in what a greenlet may run. The C tests, which have no greenlets, keep them.
    if(Q5_BUILD_BINDING)
      target_compile_options(${target} PRIVATE -fno-sanitize-address-use-after-scope
        $<$<C_COMPILER_ID:GNU>:--param=asan-stack=0>
        "$<$<C_COMPILER_ID:Clang>:SHELL:-mllvm -asan-stack=0>")
    endif()
  endif()
endfunction()
