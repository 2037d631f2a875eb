/* SPDX-License-Identifier: BSD-3-Clause
 *
 * names.h - the linker's names of the library's own functions and tables.
 *
 * A static library has one space of names with the program that links it, hidden or not. So what is called resolve() here
 * is chanconv_resolve_ for the linker: whoever links libchanconv.a, or compiles csrc/ into a program, may have a resolve()
 * too. Every external name of the library that is not public stands here; tests/embed looks for ones that are missing.
 */
#ifndef CHANCONV_NAMES_H
#define CHANCONV_NAMES_H

#define activate_row chanconv_activate_row_
#define admit chanconv_admit_
#define algorithm_depthwise chanconv_algorithm_depthwise_
#define algorithm_fft chanconv_algorithm_fft_
#define algorithm_gemm chanconv_algorithm_gemm_
#define algorithm_grouped chanconv_algorithm_grouped_
#define algorithm_im2col chanconv_algorithm_im2col_
#define algorithm_plane chanconv_algorithm_plane_
#define algorithm_winograd chanconv_algorithm_winograd_
#define allowed_processors chanconv_allowed_processors_
#define available_isa chanconv_available_isa_
#define band_elements chanconv_band_elements_
#define block_window chanconv_block_window_
#define can_spread chanconv_can_spread_
#define cgroup_limit chanconv_cgroup_limit_
#define check_activation chanconv_check_activation_
#define choose_algorithm chanconv_choose_algorithm_
#define come_from_memory chanconv_come_from_memory_
#define context_threads chanconv_context_threads_
#define correlate chanconv_correlate_
#define correlation_bytes chanconv_correlation_bytes_
#define correlation_cost chanconv_correlation_cost_
#define correlation_flops chanconv_correlation_flops_
#define correlation_tile chanconv_correlation_tile_
#define cpu_features chanconv_cpu_features_
#define cpu_info chanconv_cpu_info_
#define environment chanconv_environment_
#define every_output_sees_x chanconv_every_output_sees_x_
#define fail chanconv_fail_
#define fetch_tile chanconv_fetch_tile_
#define fetch_tile_of_x chanconv_fetch_tile_of_x_
#define fft_filter_at chanconv_fft_filter_at_
#define fft_find_grid chanconv_fft_find_grid_
#define fft_job_bytes chanconv_fft_job_bytes_
#define fft_job_of chanconv_fft_job_of_
#define fft_lane_at chanconv_fft_lane_at_
#define fft_load_tile chanconv_fft_load_tile_
#define fft_put_rows chanconv_fft_put_rows_
#define fft_release_memory chanconv_fft_release_memory_
#define fft_store_tile chanconv_fft_store_tile_
#define fft_take_memory chanconv_fft_take_memory_
#define fft_take_rows chanconv_fft_take_rows_
#define find_patch chanconv_find_patch_
#define find_places chanconv_find_places_
#define forward_correlation chanconv_forward_correlation_
#define gradient_of_x chanconv_gradient_of_x_
#define gradient_of_x_bytes chanconv_gradient_of_x_bytes_
#define grid_of chanconv_grid_of_
#define inside chanconv_inside_
#define job_bytes chanconv_job_bytes_
#define kernel_gradient chanconv_kernel_gradient_
#define kernel_gradient_bytes chanconv_kernel_gradient_bytes_
#define kernels_avx2 chanconv_kernels_avx2_
#define kernels_avx512 chanconv_kernels_avx512_
#define kernels_for chanconv_kernels_for_
#define kernels_generic chanconv_kernels_generic_
#define kernels_neon chanconv_kernels_neon_
#define machine_bound chanconv_machine_bound_
#define narrow_bytes chanconv_narrow_bytes_
#define narrow_correlate chanconv_narrow_correlate_
#define narrow_cost chanconv_narrow_cost_
#define narrow_gradient chanconv_narrow_gradient_
#define narrow_gradient_bytes chanconv_narrow_gradient_bytes_
#define no_algorithm chanconv_no_algorithm_
#define padded_columns chanconv_padded_columns_
#define panel_at chanconv_panel_at_
#define panel_count chanconv_panel_count_
#define parallel chanconv_parallel_
#define pass_at chanconv_pass_at_
#define pass_count chanconv_pass_count_
#define plan_columns chanconv_plan_columns_
#define plan_correlation chanconv_plan_correlation_
#define plane_correlator chanconv_plane_correlator_
#define prefers_narrow chanconv_prefers_narrow_
#define prefers_narrow_gradient chanconv_prefers_narrow_gradient_
#define prepare_correlation chanconv_prepare_correlation_
#define prepare_gradient_of_x chanconv_prepare_gradient_of_x_
#define prepared_correlation_bytes chanconv_prepared_correlation_bytes_
#define prepared_gradient_of_x_bytes chanconv_prepared_gradient_of_x_bytes_
#define reaches_outside chanconv_reaches_outside_
#define reads_kernel_in_place chanconv_reads_kernel_in_place_
#define release_lasting chanconv_release_lasting_
#define release_scratch chanconv_release_scratch_
#define resolve chanconv_resolve_
#define resolve_columns chanconv_resolve_columns_
#define run_units chanconv_run_units_
#define scatter_bytes chanconv_scatter_bytes_
#define scatter_cost chanconv_scatter_cost_
#define scatter_gradient chanconv_scatter_gradient_
#define source_index chanconv_source_index_
#define spread_gradient chanconv_spread_gradient_
#define spread_gradient_bytes chanconv_spread_gradient_bytes_
#define sysfs_caches chanconv_sysfs_caches_
#define take_band chanconv_take_band_
#define take_lasting chanconv_take_lasting_
#define take_scratch chanconv_take_scratch_
#define unpack chanconv_unpack_
#define winograd_gradient chanconv_winograd_gradient_
#define winograd_gradient_bytes chanconv_winograd_gradient_bytes_
#define worthwhile_threads chanconv_worthwhile_threads_

#endif
