#include "convert/convert.h"

#include "convert/output_folders.h"
#include "convert/seal.h"
#include "formats/manifest.h"

namespace tessera {

Result<Outcome> Convert(const Plan& plan, const Request& request, const RunOptions& options,
                        WorkCounters& counters) {
  Outcome outcome;
  TESSERA_ASSIGN(const Buffers buffers, PlanBuffers(plan, options));
  outcome.buffer_bytes = buffers.bytes();
  if (options.rehearse) {
    TESSERA_ASSIGN(outcome.execution, Execute(plan, options, nullptr, counters));
  } else {
    TESSERA_ASSIGN(OutputFolders out, OutputFolders::Open(request.Outputs(), plan, request.force));
    if (out.finished()) {
      outcome.already_done = true;
      outcome.execution.resumed_steps = plan.steps.size();
      for (uint32_t folder = 0; folder < out.size(); ++folder) {
        TESSERA_ASSIGN(const Manifest manifest, ReadManifest(out.dir(folder).path()));
        for (const ManifestTensor& tensor : manifest.tensors) outcome.nan_codes += tensor.nan_codes;
      }
      return outcome;
    }
    TESSERA_ASSIGN(outcome.execution, Execute(plan, options, &out, counters));
    TESSERA_TRY(
        Seal(plan, outcome.execution, request.sha256, out, [&] { return options.CheckStop(); }));
    TESSERA_TRY(out.Close());
  }
  for (const ValueStats& stats : outcome.execution.stats) {
    outcome.nan_codes += stats.nan_codes;
    outcome.clipped += stats.f16_overflows;
  }
  return outcome;
}

}  // namespace tessera
