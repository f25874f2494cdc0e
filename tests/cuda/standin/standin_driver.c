/* SPDX-License-Identifier: MIT */
/* What stands where NVIDIA's driver would: programs look whether there is one before they open the CUDA backend. */
extern const int fv_no_driver;
const int fv_no_driver = 1;
