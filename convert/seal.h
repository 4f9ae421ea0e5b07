// The end of a run: side files, config.json, index, manifest, in that order.
#pragma once

#include "convert/executor.h"
#include "convert/output_dir.h"
#include "convert/plan.h"
#include "formats/manifest.h"
#include "formats/result.h"

namespace tessera {

// All shards are already under their final names. `sha256` reads them back for whole-file digests,
// before there is an index. `check` is asked throughout; an interrupted seal is simply done again.
Result<void> Seal(const Plan& plan, const Execution& execution, bool sha256, const OutputDir& dir,
                  const StopCheck& check);

}  // namespace tessera
