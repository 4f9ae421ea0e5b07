// Lists the tensors of a checkpoint: list_tensors DIR. An installed tessera is all it needs:
//   find_package(tessera REQUIRED)
//   target_link_libraries(list_tensors PRIVATE tessera::convert)
#include <iostream>

#include "formats/checkpoint.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: list_tensors DIR\n";
    return 2;
  }
  // Every header is read and checked here; no weight is.
  const auto checkpoint = tessera::Checkpoint::Open(argv[1]);
  if (!checkpoint) {
    std::cerr << "error: " << checkpoint.error().Text() << "\n";
    return static_cast<int>(checkpoint.error().error_class());
  }
  for (const tessera::TensorExtent& tensor : checkpoint->tensors()) {
    std::cout << tensor.info.name() << "  " << tensor.info.Describe() << "\n";
  }
  return 0;
}
