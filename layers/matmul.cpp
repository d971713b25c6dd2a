// Products of matrices in the graph: the dense layers' three passes are one operation.
#include <striate/kernels/matmul.h>
#include <striate/kernels/reduce.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

const RegisterOperation matmul({
    .name = "matmul",
    .doc = "Multiply matrices, and add a bias to each row.\n"
           "y = act(a b + bias), a or b transposed where the options say so\n"
           "a: [M, K], b: [K, N], bias: [N] -> y: [M, N]",
    .inputs = {"a", "b", "[bias]"},
    .outputs = {"y", "[sums]"},
    .options = Describe<MatmulOptions>("matmul", "")
                   .field("transpose_a", &MatmulOptions::transpose_a, "a is [K, M].")
                   .field("transpose_b", &MatmulOptions::transpose_b, "b is [N, K].")
                   .field("activation", &MatmulOptions::activation,
                          "none, relu, relu6, leaky_relu, sigmoid or tanh.")
                   .field("negative_slope", &MatmulOptions::negative_slope,
                          "Slope of leaky_relu below 0.")
                   .field("column_sums", &MatmulOptions::column_sums,
                          "Also return the sums of the columns of b as multiplied."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const auto& options = s.get<MatmulOptions>();
      need_rank(s.shape(0), 2, "a must be a matrix [M, K]");
      need_rank(s.shape(1), 2, "b must be a matrix [K, N]");
      need_floats_or_halves(s, {"a", "b", "bias"});
      const int inner_a = options.transpose_a ? 0 : 1, inner_b = options.transpose_b ? 1 : 0;
      const int64_t k_a = s.shape(0)[inner_a], k_b = s.shape(1)[inner_b];
      if (k_a != k_b && k_a != kUnknown && k_b != kUnknown)
        throw ShapeError("matmul needs axis " + std::to_string(inner_a) + " of a and axis " +
                             std::to_string(inner_b) + " of b to agree",
                         s.shape(0).to_string() + " and " + s.shape(1).to_string());
      const Shape y = {s.shape(0)[1 - inner_a], s.shape(1)[1 - inner_b]};
      if (s.has(2)) need_shape("bias must be", s.shape(2), {y[1]});
      if (!options.column_sums) return {checked_type(y, s.dtype(0))};
      return {checked_type(y, s.dtype(0)), checked_type(Shape({y[1]}), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const auto& options = node.get<MatmulOptions>();
      if (options.column_sums && dys[1]) throw Error("matmul's column sums have no gradient");
      const Value &a = node.inputs[0], &b = node.inputs[1];
      const Value dy =
          before_activation(options.activation, options.negative_slope, dys[0], node.output());
      const auto product = [](const Value& left, bool transpose_left, const Value& right,
                              bool transpose_right) {
        return apply("matmul", {left, right},
                     MatmulOptions{.transpose_a = transpose_left, .transpose_b = transpose_right});
      };
      // With A and B the operands as multiplied: dA = dy B^T, dB = A^T dy.
      const bool ta = options.transpose_a, tb = options.transpose_b;
      const Value da = ta ? product(b, tb, dy, true) : product(dy, false, b, !tb);
      const Value db = tb ? product(dy, true, a, ta) : product(a, !ta, dy, false);
      const bool has_bias = node.inputs.size() > 2 && node.inputs[2];
      return {da, db, has_bias ? apply("reduce_sum", {dy}, ReduceOptions{{0}, false}) : Value{}};
    },
});

}  // namespace
}  // namespace striate
