#include "convert/convert.h"

#include "convert/output_folders.h"
#include "convert/seal.h"
#include "convert/slots.h"
#include "convert/tensor_quality.h"
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
        for (const ManifestTensor& tensor : manifest.tensors) {
          outcome.nan_codes += tensor.nan_codes;
          if (tensor.quality && tensor.quality->below) {
            outcome.below.emplace_back(tensor.name, *tensor.quality);
          }
        }
      }
      return outcome;
    }
    TESSERA_ASSIGN(outcome.execution, Execute(plan, options, &out, counters));
    TESSERA_TRY(
        Seal(plan, outcome.execution, request.sha256, out, [&] { return options.CheckStop(); }));
    TESSERA_TRY(out.Close());
  }
  for (const Step& step : plan.steps) {
    const auto i = static_cast<size_t>(&step - plan.steps.data());
    const ValueStats& stats = outcome.execution.stats[i];
    outcome.nan_codes += stats.nan_codes;
    outcome.clipped += stats.f16_overflows;
    if (stats.quality.weights == 0) continue;
    const TensorQuality quality = Judge(stats.quality, plan.quality_limits);
    if (!quality.below) continue;
    outcome.below.emplace_back(plan.tensors[step.destinations[0].tensor].info.name(), quality);
  }
  return outcome;
}

}  // namespace tessera
