// Declarations of variables and parameters, at module level, in parameter lists and in bodies.
#pragma once

#include "lexer.h"
#include "parse.h"

namespace emulator {

/// True for .global .const .shared .local .param.
bool is_variable_space(std::string_view word);

/// Bytes of a type word such as ".b32"; 0 for ".pred"; throws std::invalid_argument for others.
u32 type_word_bytes(std::string_view word);
bool is_type_word(std::string_view word);

/// Parse one declarator with its space and type, without what follows it.
void parse_variable(Lexer& lexer, bool external, std::vector<Variable>& out);

/// Parse a declaration of one or more variables up to and with its semicolon.
void parse_variables(Lexer& lexer, bool external, std::vector<Variable>& out);

}  // namespace emulator
