"""The worker for runtimes that read ONNX files: onnxruntime and OpenVINO (inference only)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from loop import serve
from workloads import THREADS, Workload, fold_batch_norm, load_weights


class ResNet18File:
    """Writes ResNet-18 with folded batch norm as an ONNX graph."""

    def __init__(self, weights: list[np.ndarray]):
        self.weights = iter(weights)
        self.nodes, self.values, self.count = [], [], 0

    def node(self, kind: str, inputs: list[str], weights: int = 0, **attributes) -> str:
        """Append a node that takes the next weights too; return its output's name."""
        from onnx import helper, numpy_helper

        self.count += 1
        output = f"{kind}_{self.count}"
        for i in range(weights):
            name = f"{output}_weight_{i}"
            self.values.append(numpy_helper.from_array(next(self.weights), name))
            inputs = [*inputs, name]
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, x: str, size: int, stride: int) -> str:
        """Append a convolution with bias."""
        window = {"kernel_shape": [size, size], "strides": [stride, stride]}
        return self.node("Conv", [x], 2, pads=[size // 2] * 4, **window)

    def block(self, x: str, stride: int) -> str:
        """Append a basic block."""
        y = self.node("Relu", [self.conv(x, 3, stride)])
        y = self.conv(y, 3, 1)
        shortcut = self.conv(x, 1, stride) if stride > 1 else x
        return self.node("Relu", [self.node("Add", [y, shortcut])])

    def save(self, file: Path, workload: Workload) -> None:
        """Build the graph and write it."""
        import onnx
        from onnx import TensorProto, helper

        x = self.node("Relu", [self.conv("x", 7, 2)])
        pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        x = self.node("MaxPool", [x], **pool)
        for stage in range(4):
            x = self.block(x, 2 if stage else 1)
            x = self.block(x, 1)
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        x = self.node("Gemm", [x], 2, transB=1)
        height, width, channels = workload.shape
        shapes = {"x": [workload.batch, channels, height, width], x: [workload.batch, 1000]}
        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]
        graph = helper.make_graph(self.nodes, "resnet18", infos[:1], infos[1:], self.values)
        opset = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(file))


def load_onnxruntime(file: Path):
    """Return a function of a batch, and the version."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0], onnxruntime.__version__


def load_openvino(file: Path):
    """Return a function of a batch, and the version."""
    import openvino

    options = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    # Without this hint it computes in bfloat16 where the processor can.
    options["INFERENCE_PRECISION_HINT"] = "f32"
    request = openvino.Core().compile_model(str(file), "CPU", options).create_infer_request()
    return lambda x: request.infer([x])[0], openvino.__version__


class Runtime:
    """A runtime with the network loaded."""

    def __init__(self, name: str):
        self.name = name

    def prepare(self, workload: Workload, variant, folder) -> dict:
        """Write the ONNX file and have the runtime read it."""
        import onnx

        x, _ = workload.data()
        self.x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        file = folder / f"{self.name}.onnx"
        ResNet18File(fold_batch_norm(load_weights(folder))).save(file, workload)
        load = {"onnxruntime": load_onnxruntime, "openvino": load_openvino}[self.name]
        self.run, version = load(file)
        return {self.name: version, "onnx": onnx.__version__}

    def check(self) -> list[float]:
        """Return the outputs."""
        return self.step().ravel().tolist()

    def step(self) -> np.ndarray:
        """Run one batch."""
        return self.run(self.x)


if __name__ == "__main__":
    serve(Runtime(sys.argv[1]))
