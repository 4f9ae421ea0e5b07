#include "verify/report_page.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "formats/version.h"
#include "verify/comparison_page.h"
#include "verify/forward_page.h"
#include "verify/report_html.h"

namespace tessera {
namespace {

void Append(std::vector<PageSection> sections, Page& page) {
  std::ranges::move(sections, std::back_inserter(page.sections));
}

PageSection ReproduceSection(const std::string& command) {
  return {"reproduce", "Reproduce",
          "<pre>" + EscapeHtml(command) + "</pre><p>tessera " + std::string(kVersion) +
              ", numerics " + std::to_string(kNumericsVersion) +
              ". The same report for any --threads and --memory.</p>"};
}

}  // namespace

std::string RenderReportPage(const ComparisonReport* tensors, const ForwardComparison* forward,
                             const std::string& command) {
  const ComparedSide& a = forward != nullptr ? forward->a : tensors->a;
  const ComparedSide& b = forward != nullptr ? forward->b : tensors->b;
  Page page{.title = "tessera verify: " + a.path + " and " + b.path,
            .verdict = "",
            .passes = (tensors == nullptr || tensors->passes()) &&
                      (forward == nullptr || forward->passes()),
            .numbers = {},
            .sections = {}};
  if (tensors != nullptr) page.verdict = tensors->verdict;
  if (forward != nullptr) {
    page.verdict += (tensors != nullptr ? "; " : "") + forward->verdict;
    page.numbers = ForwardNumbers(*forward);
    Append(ForwardSections(*forward), page);
  } else {
    page.numbers = ComparisonNumbers(*tensors);
  }
  if (tensors != nullptr) Append(ComparisonSections(*tensors), page);
  page.sections.push_back(SizeSection(a, b));
  page.sections.push_back(ReproduceSection(command));
  return RenderPage(page);
}

}  // namespace tessera
