// How well integers stand for the values of a weight: sums over groups, which add up over tiles.
// Less than QualityStats (quality.h), since a plan keeps one for each of its tiles.
#pragma once

#include <cstdint>

namespace tessera {

struct IntQuality {
  // Some rows or groups, and which of them has the most noise for its signal.
  struct Worst {
    uint64_t row = 0, group = 0;
    double signal = 0, noise = 0, predicted = 0;

    // The first one stays where two are equally bad.
    void Include(const Worst& other) {
      if (other.noise * signal > noise * other.signal || (signal == 0 && noise == 0)) *this = other;
    }
  };

  uint64_t weights = 0;
  double signal = 0;     // sum of x^2
  double noise = 0;      // sum of (x - q)^2, where q = (code - zero) * scale
  double cross = 0;      // sum of x * q
  double quantized = 0;  // sum of q^2
  double predicted = 0;  // the noise that rounding under these scales has: scale^2 / 12 a weight
  uint64_t zero_groups = 0;
  uint64_t saturated = 0;  // codes at either end of their range
  Worst worst_row, worst_group;

  IntQuality& operator+=(const IntQuality& other) {
    weights += other.weights;
    signal += other.signal;
    noise += other.noise;
    cross += other.cross;
    quantized += other.quantized;
    predicted += other.predicted;
    zero_groups += other.zero_groups;
    saturated += other.saturated;
    worst_row.Include(other.worst_row);
    worst_group.Include(other.worst_group);
    return *this;
  }
};

}  // namespace tessera
