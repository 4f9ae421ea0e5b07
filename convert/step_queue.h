// Steps dealt out to runs that work on one output at once, so that none is idle while another still
// has many to do.
#pragma once

#include "convert/run_part.h"
#include "formats/file.h"
#include "formats/result.h"
#include "formats/work_counters.h"

namespace tessera {

struct Execution;

// One run's end of it. Each run is a part by name and has a journal, but no steps of its own.
class StepQueue {
 public:
  virtual ~StepQueue() = default;

  // Before this run opens the output. The first one goes ahead: it brings what former runs left to
  // where it belongs, with nobody beside it. False: the work has ended meanwhile.
  virtual Result<bool> Enter() = 0;
  // Steps that no other run has been given; empty once there are none. Waits, the first time, until
  // all runs have read what is recorded: nobody records while another reads. `counters` are this
  // run's; of the first run they are made to tell the progress of all.
  virtual StepRange Next(WorkCounters& counters) = 0;
  // This run's steps are done and recorded. True for the run that completes the output: all others
  // have let go of it, and `execution` counts their bytes too.
  virtual Result<bool> Leave(WorkCounters& counters, Execution& execution,
                             const StopCheck& check) = 0;
};

}  // namespace tessera
