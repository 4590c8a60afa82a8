// A plugin for QEMU's user mode (of the plugin interface of QEMU 7.2): counts the instructions that a program runs.
//
// It writes the number so far on stderr whenever the program asks for its parent's process id, which costs the program
// one instruction, is possible from any language, and is done by next to none. Several threads' additions may get lost.

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

// What is used of qemu-plugin.h, which Debian doesn't ship.
typedef uint64_t PluginId;
typedef struct qemu_plugin_tb Block;
enum { ADD_U64 };
typedef void OnTranslation(PluginId, Block *);
typedef void OnSyscall(PluginId, unsigned vcpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t);
size_t qemu_plugin_tb_n_insns(const Block *);
void qemu_plugin_register_vcpu_tb_trans_cb(PluginId, OnTranslation *);
void qemu_plugin_register_vcpu_tb_exec_inline(Block *, int operation, void *counter, uint64_t value);
void qemu_plugin_register_vcpu_syscall_cb(PluginId, OnSyscall *);
int qemu_plugin_version = 1;

static const int64_t getppid_number = 173;  // on 64-bit Arm
static uint64_t instructions;

static void on_translation(PluginId id, Block *block) {
    // Once for each block of code, not for each time that it runs: QEMU itself adds then.
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(PluginId id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                       uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    if (number == getppid_number) fprintf(stderr, "instructions: %" PRIu64 "\n", instructions);
}

int qemu_plugin_install(PluginId id, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
