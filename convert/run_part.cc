#include "convert/run_part.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera {
namespace {

PartBytes BytesOf(const Step& step) {
  PartBytes bytes;
  for (uint64_t tile = 0; tile < step.tiles(); ++tile) {
    const RowRange rows = step.TileRows(tile);
    const TileShape shape = ShapeOfTile(step, rows);
    for (const ByteRange& read : shape.reads) bytes.read += read.size();
    for (const auto& [part, source] : step.given) bytes.read += shape.writes[part].size();
    for (const Destination& d : step.destinations) {
      if (const auto place = PlaceInDestination(step, d, rows, shape)) {
        bytes.written += place->size();
      }
    }
  }
  return bytes;
}

// For each border between steps, how many output files have steps on both sides of it.
std::vector<uint32_t> FilesAcross(const Plan& plan) {
  struct Span {
    size_t first = SIZE_MAX, last = 0;
  };
  std::vector<Span> spans(plan.files.size());
  for (size_t step = 0; step < plan.steps.size(); ++step) {
    for (const Destination& d : plan.steps[step].destinations) {
      Span& span = spans[plan.tensors[d.tensor].file];
      span.first = std::min(span.first, step);
      span.last = std::max(span.last, step);
    }
  }
  std::vector<uint32_t> across(plan.steps.size() + 1, 0);
  for (const Span& span : spans) {
    for (size_t border = span.first + 1; span.first != SIZE_MAX && border <= span.last; ++border) {
      ++across[border];
    }
  }
  return across;
}

}  // namespace

std::string RunPart::Name() const {
  return "part-" + std::to_string(index) + "-of-" + std::to_string(count);
}

std::vector<size_t> CutSteps(const Plan& plan, uint32_t count) {
  if (count == 1) return {0, plan.steps.size()};
  // before[i]: the bytes of all steps before step i.
  std::vector<uint64_t> before = {0};
  for (const Step& step : plan.steps) {
    const PartBytes bytes = BytesOf(step);
    before.push_back(before.back() + bytes.read + bytes.written);
  }
  const std::vector<uint32_t> across = FilesAcross(plan);

  const double share = static_cast<double>(before.back()) / count;
  const auto border = [&](uint32_t index) -> size_t {
    const double ideal = share * index, reach = share / 8;
    const auto distance = [&](size_t i) {
      return std::abs(static_cast<double>(before[i]) - ideal);
    };
    const auto at = [&](double bytes) {
      return static_cast<size_t>(
          std::ranges::lower_bound(before, static_cast<uint64_t>(std::max(bytes, 0.0))) -
          before.begin());
    };
    size_t best = std::min(at(ideal), plan.steps.size());
    for (size_t i = at(ideal - reach); i <= plan.steps.size(); ++i) {
      if (static_cast<double>(before[i]) > ideal + reach) break;
      if (std::pair(across[i], distance(i)) < std::pair(across[best], distance(best))) best = i;
    }
    return best;
  };
  std::vector<size_t> cuts = {0};
  for (uint32_t index = 1; index < count; ++index) cuts.push_back(border(index));
  cuts.push_back(plan.steps.size());
  return cuts;
}

StepRange StepsOf(const Plan& plan, const RunPart& part) {
  const std::vector<size_t> cuts = CutSteps(plan, part.count);
  return {cuts[part.index - 1], cuts[part.index]};
}

std::vector<PartBytes> WeighParts(const Plan& plan, uint32_t count) {
  const std::vector<size_t> cuts = CutSteps(plan, count);
  std::vector<PartBytes> parts(count);
  for (uint32_t i = 0; i < count; ++i) {
    for (size_t step = cuts[i]; step < cuts[i + 1]; ++step) {
      const PartBytes bytes = BytesOf(plan.steps[step]);
      parts[i].read += bytes.read;
      parts[i].written += bytes.written;
    }
  }
  return parts;
}

std::vector<uint32_t> UnfinishedParts(const Plan& plan, uint32_t count,
                                      const std::vector<bool>& done) {
  const auto tile_of = [&](size_t step) {
    return static_cast<ptrdiff_t>(step < plan.steps.size() ? plan.steps[step].first_tile
                                                           : plan.tiles);
  };
  const std::vector<size_t> cuts = CutSteps(plan, count);
  std::vector<uint32_t> unfinished;
  for (uint32_t index = 1; index <= count; ++index) {
    const auto begin = done.begin() + tile_of(cuts[index - 1]);
    const auto end = done.begin() + tile_of(cuts[index]);
    if (std::find(begin, end, false) != end) unfinished.push_back(index);
  }
  return unfinished;
}

}  // namespace tessera
