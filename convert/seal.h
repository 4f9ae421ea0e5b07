// The end of a run, folder by folder: side files, config.json, index, manifest, in that order.
#pragma once

#include "convert/executor.h"
#include "convert/output_folders.h"
#include "convert/plan.h"
#include "formats/manifest.h"
#include "formats/result.h"

namespace tessera {

// All shards are already under their final names. `sha256` reads them back for whole-file digests,
// before there is an index. The first folder comes last: with its manifest the run is over. `check`
// is asked throughout; an interrupted seal is simply done again.
Result<void> Seal(const Plan& plan, const Execution& execution, bool sha256,
                  const OutputFolders& out, const StopCheck& check);

}  // namespace tessera
