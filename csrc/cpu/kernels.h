// Every kernel that has a C++ body, in the order of the files. Arrays first (outputs, then inputs), then numbers.
#pragma once

#include "cpu/array.h"
#include "cpu/elementwise.h"

namespace minigrad {

// reduce.cpp: x (outer, n, inner) -> y (outer, inner)
void sum_forward(Out<float> y, In<float> x);
void mean_forward(Out<float> y, In<float> x);
void prod_forward(Out<float> y, In<float> x);
void prod_backward(Out<float> dx, In<float> dy, In<float> x);
void max_forward(Out<float> y, Out<int64_t> index, In<float> x);
void min_forward(Out<float> y, Out<int64_t> index, In<float> x);
void logsumexp_forward(Out<float> y, In<float> x);
void var_forward(Out<float> y, Out<float> mean, In<float> x, double correction);

// cumulative.cpp: all (outer, n, inner)
void cumsum_forward(Out<float> y, In<float> x);
void cumsum_backward(Out<float> dx, In<float> dy);
void cumprod_forward(Out<float> y, In<float> x);
void cumprod_backward(Out<float> dx, In<float> dy, In<float> x, In<float> before);
void recurrence_forward(Out<float> h, In<float> a, In<float> b);

// embedding.cpp: weight, dw (rows, cols), y, dy (n, cols), index (n)
void embedding_forward(Out<float> y, In<float> weight, In<int64_t> index);
void embedding_backward(Out<float> dw, In<float> dy, In<int64_t> index);

// matmul.cpp: y (B, m, n), a (B or 1, m, k) or (.., k, m), b (B or 1, k, n) or (.., n, k); or no B at all
void matmul_forward(Out<float> y, In<float> a, In<float> b, bool transpose_a, bool transpose_b);
void matmul_forward_float16(Out<Float16> y, In<Float16> a, In<Float16> b, bool transpose_a, bool transpose_b);
void matmul_forward_bfloat16(Out<BFloat16> y, In<BFloat16> a, In<BFloat16> b, bool transpose_a, bool transpose_b);

// linear.cpp: y, slope, dy, g, other (rows, out), x (rows, in), w (out, in), bias, dbias (out)
void linear_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias);
void linear_forward_float16(Out<Float16> y, In<Float16> x, In<Float16> w, Maybe<In<Float16>> bias);
void linear_forward_bfloat16(Out<BFloat16> y, In<BFloat16> x, In<BFloat16> w, Maybe<In<BFloat16>> bias);
void linear_relu_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias);
void linear_gelu_forward(Out<float> y, Maybe<Out<float>> slope, In<float> x, In<float> w, Maybe<In<float>> bias,
                         bool tanh);
void linear_add_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias, In<float> other);
void linear_relu_backward(Out<float> g, Maybe<Out<float>> dbias, In<float> dy, In<float> y);
void linear_gelu_backward(Out<float> g, Maybe<Out<float>> dbias, In<float> dy, In<float> slope);
void linear_backward_bias(Out<float> dbias, In<float> dy);

// int8_linear.cpp: as linear_forward; scale (out)
void int8_linear_forward(Out<float> y, In<float> x, In<int8_t> w, In<float> scale, Maybe<In<float>> bias);

// conv2d.cpp: y (n, out, oh, ow), x (n, in, h, w), w (out, in / groups, kh, kw), bias (out)
void conv2d_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias, int64_t stride_h, int64_t stride_w,
                    int64_t pad_h, int64_t pad_w, int64_t dil_h, int64_t dil_w, int64_t groups);
void conv2d_backward_input(Out<float> dx, In<float> dy, In<float> w, int64_t stride_h, int64_t stride_w, int64_t pad_h,
                           int64_t pad_w, int64_t dil_h, int64_t dil_w, int64_t groups);
void conv2d_backward_weight(Out<float> dw, Maybe<Out<float>> db, In<float> dy, In<float> x, int64_t stride_h,
                            int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h, int64_t dil_w,
                            int64_t groups);

// conv2d_relu_pool.cpp: y, dy, code (n, out, ph, pw), x (n, in, h, w), w (out, in, kh, kw), bias (out)
void conv2d_relu_pool_forward(Out<float> y, Out<uint8_t> code, In<float> x, In<float> w, Maybe<In<float>> bias,
                              int64_t stride_h, int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h,
                              int64_t dil_w);
void conv2d_relu_pool_backward(Out<float> dw, Maybe<Out<float>> db, In<float> dy, In<uint8_t> code, In<float> x,
                               int64_t stride_h, int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h,
                               int64_t dil_w);
void conv2d_relu_pool_spread(Out<float> to, In<float> dy, In<uint8_t> code);

// softmax.cpp: all (outer, n, inner), along n
void softmax_forward(Out<float> y, In<float> x);
void softmax_backward(Out<float> dx, In<float> dy, In<float> y);
void log_softmax_forward(Out<float> y, In<float> x);
void log_softmax_backward(Out<float> dx, In<float> dy, In<float> y);

// cross_entropy.cpp: x (rows, classes), lse, target (rows,), loss and dy (rows,) or one element, count one element,
// weight (classes,)
void cross_entropy_forward(Out<float> loss, Out<double> lse, Maybe<Out<double>> count, In<float> x, In<int64_t> target,
                           Maybe<In<float>> weight, int64_t ignore_index, double smoothing);
void cross_entropy_backward(Out<float> dx, In<float> dy, Maybe<In<double>> count, In<float> x, In<double> lse,
                            In<int64_t> target, Maybe<In<float>> weight, int64_t ignore_index, double smoothing);

// nll_loss.cpp: x, dx (n, classes, inner), target (n * inner,), loss and dy the same or one element, count one element,
// weight (classes,)
void nll_loss_forward(Out<float> loss, Maybe<Out<double>> count, In<float> x, In<int64_t> target,
                      Maybe<In<float>> weight, int64_t ignore_index);
void nll_loss_backward(Out<float> dx, In<float> dy, Maybe<In<double>> count, In<int64_t> target,
                       Maybe<In<float>> weight, int64_t ignore_index);

// mse_loss.cpp, binary_cross_entropy.cpp: x, t and dx of one shape; loss and dy of that shape or one element
void mse_loss_forward(Out<float> loss, In<float> x, In<float> t, double scale);
void mse_loss_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale);
void binary_cross_entropy_forward(Out<float> loss, In<float> x, In<float> t, double scale);
void binary_cross_entropy_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale);
void binary_cross_entropy_with_logits_forward(Out<float> loss, In<float> x, In<float> t, double scale);
void binary_cross_entropy_with_logits_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale);

// attention.cpp: q, dq (batch.., L, E), k, dk (batch.., S, E), v, dv (batch.., S, Ev), y, dy (batch.., L, Ev), rows in
// one piece; lse (batch.., L), mask (..., L, S) of as many matrices as the batch
void attention_forward(OutView<float> y, Out<double> lse, InView<float> q, InView<float> k, InView<float> v,
                       Maybe<InView<float>> mask, double scale, bool causal);
void attention_backward(OutView<float> dq, OutView<float> dk, OutView<float> dv, InView<float> dy, InView<float> y,
                        In<double> lse, InView<float> q, InView<float> k, InView<float> v, Maybe<InView<float>> mask,
                        double scale, bool causal);

// layer_norm.cpp: x, y, dx, dy (rows, cols), mean, rstd (rows,), weight, bias, dw, db (cols,)
void layer_norm_forward(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps);
void layer_norm_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy, In<float> x,
                         Maybe<In<float>> weight, In<float> mean, In<float> rstd);

// rms_norm.cpp: the same without mean, bias and db
void rms_norm_forward(Out<float> y, Out<float> rstd, In<float> x, Maybe<In<float>> weight, double eps);
void rms_norm_backward(Out<float> dx, Maybe<Out<float>> dw, In<float> dy, In<float> x, Maybe<In<float>> weight,
                       In<float> rstd);

// batch_norm.cpp: x, y, dx, dy (n, c, s), mean, var, weight, bias, dw, db (c,)
void batch_norm_forward(Out<float> y, Out<float> mean, Out<float> var, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps);
void batch_norm_apply(Out<float> y, In<float> x, In<float> mean, In<float> var, Maybe<In<float>> weight,
                      Maybe<In<float>> bias, double eps);
void batch_norm_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy, In<float> x,
                         Maybe<In<float>> weight, In<float> mean, In<float> var, double eps);
void batch_norm_track(Out<float> running_mean, Out<float> running_var, In<float> mean, In<float> var, double momentum,
                      double correction);

// batch_norm_relu_pool.cpp: y, dy, code (n, c, h / 2, w / 2), x, dx (n, c, h, w), all else (c)
void batch_norm_relu_pool_forward(Out<float> y, Out<uint8_t> code, Out<float> mean, Out<float> var, In<float> x,
                                  Maybe<In<float>> weight, Maybe<In<float>> bias, double eps);
void batch_norm_relu_pool_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy,
                                   In<uint8_t> code, In<float> x, Maybe<In<float>> weight, In<float> mean,
                                   In<float> var, double eps);

// max_pool2d.cpp: x, dx (planes, H, W), y, dy, index (planes, OH, OW); kernel, stride, padding and dilation
void max_pool2d_forward(Out<float> y, Out<int64_t> index, In<float> x, int64_t kh, int64_t kw, int64_t sh, int64_t sw,
                        int64_t ph, int64_t pw, int64_t dh, int64_t dw);
void max_pool2d_backward(Out<float> dx, In<float> dy, In<int64_t> index);

// random.cpp: Philox4x32-10, key = seed, counter = offset + i / 4, lane = i % 4
void uniform_fill(Out<float> y, int64_t seed, int64_t offset);
void normal_fill(Out<float> y, int64_t seed, int64_t offset);
void dropout_forward(Out<float> y, In<float> x, double p, int64_t seed, int64_t offset);
void dropout_backward(Out<float> dx, In<float> dy, double p, int64_t seed, int64_t offset);

// clip_grad.cpp: norm has one element
void total_norm(Out<float> norm, List<In<float>> arrays);
void clip_norm(List<Out<float>> arrays, In<float> norm, double max_norm);

// optim_step.cpp: for each parameter an array of its shape in every list
void sgd_step(List<Out<float>> params, Maybe<List<Out<float>>> bufs, List<In<float>> grads, double lr, double momentum,
              double dampening, double weight_decay, bool nesterov, bool maximize, bool first);
void adagrad_step(List<Out<float>> params, List<Out<float>> totals, List<In<float>> grads, double lr,
                  double weight_decay, double eps, bool maximize);
void rmsprop_step(List<Out<float>> params, List<Out<float>> square_avgs, Maybe<List<Out<float>>> grad_avgs,
                  Maybe<List<Out<float>>> bufs, List<In<float>> grads, double lr, double alpha, double eps,
                  double weight_decay, double momentum, bool maximize);
void adam_step(List<Out<float>> params, List<Out<float>> exp_avgs, List<Out<float>> exp_avg_sqs,
               Maybe<List<Out<float>>> max_exp_avg_sqs, List<In<float>> grads, int64_t count, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool decoupled, bool maximize, bool bias_correction);

}  // namespace minigrad
