// SPDX-License-Identifier: MIT
// Everything a program needs that runs language models: load, tokenize, render a conversation, generate.
#pragma once

#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/models/generation/generate.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/generation/sampler.h>
#include <lazuli/models/load.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/tokenizer.h>
