#include "cli/mpi_ranks.h"

#include <mpi.h>

#include <array>
#include <chrono>
#include <optional>
#include <vector>

namespace tessera::cli {
namespace {

constexpr int kToFirst = 1, kFromFirst = 2;  // tags
constexpr int kNoThreads = 70;               // exit code: an internal error
// MPI's own waiting spins, which would take cores from the work.
constexpr auto kPause = std::chrono::milliseconds(1);

constexpr int kWords = 3;
using Message = std::array<uint64_t, kWords>;

void Send(int to, int tag, const Message& message) {
  MPI_Send(message.data(), kWords, MPI_UINT64_T, to, tag, MPI_COMM_WORLD);
}

// The rank that a message came from, if there was one.
std::optional<int> Receive(int from, int tag, Message& message) {
  int there = 0;
  MPI_Status status;
  MPI_Iprobe(from, tag, MPI_COMM_WORLD, &there, &status);
  if (!there) return std::nullopt;
  MPI_Recv(message.data(), kWords, MPI_UINT64_T, status.MPI_SOURCE, tag, MPI_COMM_WORLD,
           MPI_STATUS_IGNORE);
  return status.MPI_SOURCE;
}

}  // namespace

MpiRanks::Place MpiRanks::Initialize(int& argc, char**& argv) {
  int provided = 0, rank = 0, size = 1;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (provided < MPI_THREAD_SERIALIZED) MPI_Abort(MPI_COMM_WORLD, kNoThreads);
  return {static_cast<uint32_t>(rank), static_cast<uint32_t>(size)};
}

MpiRanks::MpiRanks(Place place) : RankJob(place.rank, place.size) {
  if (rank() == 0 && size() > 1) answering_ = std::jthread([this] { AnswerOthers(); });
}

MpiRanks::~MpiRanks() {
  if (answering_.joinable()) answering_.join();
  MPI_Finalize();
}

// Ends when the others have been told how the job ends.
void MpiRanks::AnswerOthers() {
  std::vector<std::optional<Ask>> waiting(size());
  for (uint32_t left = size() - 1; left > 0;) {
    Message message;
    if (const auto from = Receive(MPI_ANY_SOURCE, kToFirst, message)) {
      waiting[static_cast<size_t>(*from)] = {Question{message[0]}, message[1], message[2]};
    } else {
      std::this_thread::sleep_for(kPause);
    }
    for (uint32_t rank = 1; rank < size(); ++rank) {
      if (!waiting[rank]) continue;
      const std::optional<Answer> answer = Try(rank, *waiting[rank]);
      if (!answer) continue;
      Send(static_cast<int>(rank), kFromFirst, {answer->a, answer->b});
      if (waiting[rank]->question == Question::kEnd) --left;
      waiting[rank].reset();
    }
  }
}

// Not by two threads at once: the executor asks under a lock, and for the rest there is one.
Answer MpiRanks::AskFirst(const Ask& ask) {
  Send(0, kToFirst, {static_cast<uint64_t>(ask.question), ask.a, ask.b});
  Message message;
  while (!Receive(0, kFromFirst, message)) std::this_thread::sleep_for(kPause);
  return {message[0], message[1]};
}

}  // namespace tessera::cli
