// Error codes of the journal and of the disks below it.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

enum class JournalErrc {
  locked = 1,    // another process, or another journal of this one, uses the directory. details: path, holder
  not_found,     // no such file or directory. details: path, operation
  not_writable,  // the path may not be written, or cannot be a directory. details: path, operation, errno
  disk_full,     // no space left; nothing of what was asked has been written. details: path
  io_failed,     // the system reports another failure. details: path, operation, errno
  corrupt,       // a record or header that was durable is damaged. details: file, offset
  foreign_segment,   // a file belongs to another journal, or does not follow the one before it. details: file
  missing_segment,   // a file between two others is gone. details: number
  poisoned,          // a write or sync failed earlier: this journal takes nothing more. details: cause
  record_too_large,  // a record does not fit a segment. details: size, maximum
  overloaded,        // more than maxQueuedBytes wait for the disk. details: queuedBytes, maximum
  closed,            // the journal was closed
};

constexpr const char* errorCategoryName(JournalErrc) noexcept { return "lukhas.journal"; }

constexpr const char* describeError(JournalErrc code) noexcept {
  switch (code) {
    case JournalErrc::locked: return "the directory is in use by another process";
    case JournalErrc::not_found: return "there is no such file or directory";
    case JournalErrc::not_writable: return "the path cannot be written";
    case JournalErrc::disk_full: return "no space is left on the disk";
    case JournalErrc::io_failed: return "an operation of the disk failed";
    case JournalErrc::corrupt: return "durable data is damaged";
    case JournalErrc::foreign_segment: return "a segment belongs to another journal";
    case JournalErrc::missing_segment: return "a segment is missing";
    case JournalErrc::poisoned: return "an earlier write failed; the journal takes nothing more";
    case JournalErrc::record_too_large: return "a record does not fit a segment";
    case JournalErrc::overloaded: return "too much is waiting for the disk";
    case JournalErrc::closed: return "the journal was closed";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::JournalErrc> : std::true_type {};
