# `make install-lib`: headers, the static library and a pkg-config file.
install(TARGETS q5 ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET q5_crypto)
  install(TARGETS q5_crypto ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY include/q5 DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/libq5.pc.in libq5.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libq5.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
