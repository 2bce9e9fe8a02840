// The verdict of the classifier that a router's options name.
#pragma once

#include "lukhas/route/model_router_options.hpp"
#include "lukhas/route/outcome_classifier.hpp"

namespace lukhas::detail {

[[nodiscard]] inline Verdict judgeAttempt(const ModelRouterOptions& options, const AttemptFacts& facts) {
  const Verdict usual = classifyOutcome(facts);
  if (!options.classify) return usual;
  try {
    Verdict verdict = options.classify(facts);
    const bool isAnswer = usual.action == RouteAction::accept;
    if (verdict.action == RouteAction::accept) return isAnswer ? verdict : usual;
    if (!verdict.error) verdict.error = usual.error ? usual.error : make_error_code(RouteErrc::model_failed);
    return verdict;
  } catch (...) {
    return usual;
  }
}

}  // namespace lukhas::detail
