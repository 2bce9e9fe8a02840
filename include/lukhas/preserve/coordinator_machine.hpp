// CoordinatorMachine: one two-phase commit as a pure state machine. It decides; AtomicContextPreserver does.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lukhas {

enum class TransactionState : std::uint8_t {
  initial,
  preparing,
  prepared,
  committing,
  committed,
  aborting,
  aborted
};

[[nodiscard]] constexpr const char* toString(TransactionState state) noexcept {
  switch (state) {
    case TransactionState::initial: return "INITIAL";
    case TransactionState::preparing: return "PREPARING";
    case TransactionState::prepared: return "PREPARED";
    case TransactionState::committing: return "COMMITTING";
    case TransactionState::committed: return "COMMITTED";
    case TransactionState::aborting: return "ABORTING";
    case TransactionState::aborted: return "ABORTED";
  }
  return "?";
}

// The idea: everybody is asked; one "no", a silence that lasts too long, or a caller who gave up before the
// decision turns it into an abort; when all said yes, the decision is written down, and from then on it is
// final: participants are told until each has done it, and nothing leads back.
//
//   state       event              next         action
//   INITIAL     begin              PREPARING    ask everybody to prepare
//   PREPARING   yes (not the last) PREPARING    wait
//   PREPARING   yes (the last)     PREPARED     write the decision down, durably
//   PREPARING   no, giveUp         ABORTING     tell everybody to abort
//   PREPARED    recorded           COMMITTING   tell everybody to commit
//   PREPARED    giveUp             ABORTING     tell everybody to abort (only before the record was begun,
//                                               or when certainly nothing of it was written)
//   COMMITTING  done (the last)    COMMITTED    finished
//   ABORTING    done (the last)    ABORTED      finished
//
// Everything else changes nothing: a vote that comes late, a second answer of the same participant. There is
// no edge from COMMITTING to ABORTING. Presumed abort (Mohan, Lindsay, Obermarck: "Transaction Management in
// the R* Distributed Database Management System", 1986): a transaction of which no decision is found was
// aborted, so aborts need no record.
class CoordinatorMachine {
 public:
  enum class Action { wait, ask_all, record_decision, tell_commit, tell_abort, finished };

  explicit CoordinatorMachine(std::size_t participants) : answers_(participants, Answer::none) {
    assert(participants > 0);
  }

  [[nodiscard]] TransactionState state() const noexcept { return state_; }

  [[nodiscard]] Action begin() {
    if (state_ != TransactionState::initial) return Action::wait;
    state_ = TransactionState::preparing;
    return Action::ask_all;
  }

  [[nodiscard]] Action yes(std::size_t participant) {
    if (state_ != TransactionState::preparing || !mark(participant, Answer::yes)) return Action::wait;
    if (marked_ < answers_.size()) return Action::wait;
    state_ = TransactionState::prepared;
    return Action::record_decision;
  }

  [[nodiscard]] Action no(std::size_t participant) {
    assert(participant < answers_.size());
    (void)participant;
    return state_ == TransactionState::preparing ? abort() : Action::wait;
  }

  // The time to prepare is over, or the caller left.
  [[nodiscard]] Action giveUp() {
    return state_ == TransactionState::preparing || state_ == TransactionState::prepared ? abort()
                                                                                         : Action::wait;
  }

  // The decision is durable.
  [[nodiscard]] Action recorded() {
    assert(state_ == TransactionState::prepared);
    state_ = TransactionState::committing;
    clearAnswers();
    return Action::tell_commit;
  }

  // A participant has committed, or aborted, whichever it was told.
  [[nodiscard]] Action done(std::size_t participant) {
    const bool telling = state_ == TransactionState::committing || state_ == TransactionState::aborting;
    if (!telling || !mark(participant, Answer::done) || marked_ < answers_.size()) return Action::wait;
    state_ = state_ == TransactionState::committing ? TransactionState::committed : TransactionState::aborted;
    return Action::finished;
  }

  // Whether that participant has answered yes (while preparing) or has done what it was told (afterwards).
  [[nodiscard]] bool answered(std::size_t participant) const {
    return answers_.at(participant) != Answer::none;
  }

 private:
  enum class Answer : std::uint8_t { none, yes, done };

  [[nodiscard]] Action abort() {
    state_ = TransactionState::aborting;
    clearAnswers();
    return Action::tell_abort;
  }
  // False when that participant answered before.
  bool mark(std::size_t participant, Answer answer) {
    if (answers_.at(participant) != Answer::none) return false;
    answers_[participant] = answer;
    ++marked_;
    return true;
  }
  void clearAnswers() {
    answers_.assign(answers_.size(), Answer::none);
    marked_ = 0;
  }

  TransactionState state_ = TransactionState::initial;
  std::vector<Answer> answers_;  // of the present phase
  std::size_t marked_ = 0;       // how many of them are not `none`
};

}  // namespace lukhas
