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
  endif()
endfunction()
