// The word that a misspelt one was meant to be, for messages.
#pragma once

#include <string>
#include <vector>

namespace striate {

/// Return the word that the fewest changes of a letter (one put in, left out, replaced, or two
/// neighbours swapped) make of `word`, regardless of case (Damerau 1964); empty where more than a
/// third of the letters, or the only one, would change.
std::string nearest(const std::string& word, const std::vector<std::string>& words);

/// Return the words as `a, b, c`.
std::string comma_separated(const std::vector<std::string>& words);

}  // namespace striate
