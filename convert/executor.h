// Runs a Plan: tiles flow through a fixed set of buffers from readers to workers to writers. The
// output bytes, or the error reported, are the same for any number of threads and any budget.
#pragma once

#include <cstdint>
#include <vector>

#include "convert/output_folders.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"
#include "formats/work_counters.h"

namespace tessera {

struct Execution {
  std::vector<Digest> digests;                 // of the tiles, see Destination::first_digest
  std::vector<ValueStats> stats;               // by step
  uint64_t read_bytes = 0, written_bytes = 0;  // by this run
  uint64_t resumed_steps = 0;                  // whole steps that former runs had done
};

// Without `out` the output is computed and discarded. Tiles that its journal records are not made
// again.
Result<Execution> Execute(const Plan& plan, const RunOptions& options, OutputFolders* out,
                          WorkCounters& counters);

}  // namespace tessera
