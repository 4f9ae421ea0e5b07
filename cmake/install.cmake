# `cmake --install` gives the program, the libraries, their headers and a package config.
