#include "cli/process.h"

int main(int argc, char** argv) {
  tessera::cli::PrepareProcess();
  tessera::cli::Session session;
  return tessera::cli::RunGuarded(argc, argv, session);
}
