# SPDX-License-Identifier: MIT
"""Plain graphs in ONNX Runtime with all its optimisations, on request (plain_graphs.serve)."""

import sys

import onnxruntime

import onnx_graphs
import plain_graphs


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[1])
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Its threads would spin on into the next turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")

    def prepare(name):
        model, inputs = onnx_graphs.model_of(name, "float32")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, inputs)[0]

    # Its CPU provider has no product of bf16 weights.
    names = [name for name in plain_graphs.SHAPES if not plain_graphs.has_bf16_weights(name)]
    plain_graphs.serve(onnxruntime.__version__, names, prepare, onnx_graphs.as_lazuli)


if __name__ == "__main__":
    main()
