# Toolchain file for a Cortex-M4 with FPU: cmake -DCMAKE_TOOLCHAIN_FILE=cortex_m4.cmake ...
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR cortex-m4)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

# Fused multiplications would round other than on a PC.
set(swr_cpu -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard)
add_compile_options(${swr_cpu} -ffp-contract=off)
add_link_options(${swr_cpu} --specs=nano.specs)
