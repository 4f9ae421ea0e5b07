// The ranks of an MPI job. They ask rank 0 by two-sided messages, which a thread there answers:
// one-sided ones would get through only while rank 0's other threads happen to be inside MPI.
#pragma once

#include <thread>

#include "cli/rank_job.h"

namespace tessera::cli {

class MpiRanks : public RankJob {
 public:
  // MPI is initialized from here on until the end of the object; once a process. What goes wrong
  // within MPI ends the program with MPI's own words.
  MpiRanks(int& argc, char**& argv) : MpiRanks(Initialize(argc, argv)) {}
  ~MpiRanks() override;

 private:
  struct Place {
    uint32_t rank, size;
  };
  static Place Initialize(int& argc, char**& argv);
  explicit MpiRanks(Place place);

  Answer AskFirst(const Ask& ask) override;
  void AnswerOthers();

  std::jthread answering_;  // on rank 0
};

}  // namespace tessera::cli
