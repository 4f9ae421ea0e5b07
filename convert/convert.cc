#include "convert/convert.h"

#include "convert/output_folders.h"
#include "convert/seal.h"
#include "convert/slots.h"
#include "convert/step_queue.h"
#include "convert/tensor_quality.h"
#include "formats/manifest.h"

namespace tessera {

namespace {

Result<void> DescribeDone(const Plan& plan, const OutputFolders& out, Outcome& outcome) {
  outcome.already_done = true;
  outcome.execution.resumed_steps = plan.steps.size();
  for (uint32_t folder = 0; folder < out.size(); ++folder) {
    TESSERA_ASSIGN(const Manifest manifest, ReadManifest(out.dir(folder).manifest_path()));
    for (const ManifestTensor& tensor : manifest.tensors) {
      outcome.nan_codes += tensor.nan_codes;
      if (tensor.quality && tensor.quality->below) {
        outcome.below.emplace_back(tensor.name, *tensor.quality);
      }
    }
  }
  return {};
}

// Of `finish`, which does no work but the sealing.
Result<void> CheckNothingLeft(const Plan& plan, const OutputFolders& out) {
  TESSERA_ASSIGN(const std::vector<bool> done, out.RecordedTiles(plan));
  const uint32_t count = out.CountParts();
  const std::vector<uint32_t> left = UnfinishedParts(plan, count, done);
  if (left.empty()) return {};
  std::string which;
  for (const uint32_t part : left) {
    if (!which.empty()) which += ", ";
    which += std::to_string(part) + "/" + std::to_string(count);
  }
  return Fail(Error(ErrorCode::kUnfinishedParts, "parts of this output are not done")
                  .In(out.dir(0).path().string())
                  .Found("unfinished: " + which)
                  .Next("run them again with --part, or the same command without it for all that "
                        "is left"));
}

// A part's share is done. True if it was the last, whose folders are now held alone and whose
// `outcome.execution` is of the whole plan.
Result<bool> TakeOver(const Plan& plan, const RunOptions& options, OutputFolders& out,
                      WorkCounters& counters, Outcome& outcome) {
  const StopCheck check = [&] { return options.CheckStop(); };
  bool last = true;
  if (options.queue != nullptr) {
    TESSERA_ASSIGN(last, options.queue->Leave(counters, outcome.execution, check));
  } else {
    TESSERA_ASSIGN(const std::vector<bool> done, out.RecordedTiles(plan));
    outcome.parts_left = UnfinishedParts(plan, options.part.count, done);
    last = outcome.parts_left.empty();
  }
  if (!last) {
    out.Release();
    return false;
  }
  TESSERA_ASSIGN(const bool alone, out.HoldAlone(plan, check));
  if (!alone) {
    TESSERA_TRY(DescribeDone(plan, out, outcome));
    return false;
  }
  TESSERA_ASSIGN(Execution whole, Execute(plan, options, &out, counters));
  outcome.execution.digests = std::move(whole.digests);
  outcome.execution.stats = std::move(whole.stats);
  return true;
}

void DescribeStats(const Plan& plan, Outcome& outcome) {
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
}

}  // namespace

Result<Outcome> Convert(const Plan& plan, const Request& request, const RunOptions& options,
                        WorkCounters& counters) {
  Outcome outcome;
  TESSERA_ASSIGN(const Buffers buffers, PlanBuffers(plan, options));
  outcome.buffer_bytes = buffers.bytes();
  if (options.rehearse) {
    TESSERA_ASSIGN(outcome.execution, Execute(plan, options, nullptr, counters));
    DescribeStats(plan, outcome);
    return outcome;
  }
  if (options.queue != nullptr) {
    TESSERA_ASSIGN(const bool begins, options.queue->Enter());
    if (!begins) return outcome;
  }
  TESSERA_ASSIGN(OutputFolders out,
                 OutputFolders::Open(request.Outputs(), plan, options, request.force));
  if (out.finished()) {
    TESSERA_TRY(DescribeDone(plan, out, outcome));
    return outcome;
  }
  if (options.finish) TESSERA_TRY(CheckNothingLeft(plan, out));
  TESSERA_ASSIGN(outcome.execution, Execute(plan, options, &out, counters));
  if (!out.alone()) {
    TESSERA_ASSIGN(const bool ours, TakeOver(plan, options, out, counters, outcome));
    if (!ours) return outcome;
  }
  TESSERA_TRY(
      Seal(plan, outcome.execution, request.sha256, out, [&] { return options.CheckStop(); }));
  TESSERA_TRY(out.Close());
  DescribeStats(plan, outcome);
  return outcome;
}

}  // namespace tessera
