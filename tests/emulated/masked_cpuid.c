/* Answers CPUID as a processor with fewer features would.

   A copy of onnxruntime's library has every CPUID instruction replaced by UD2, which raises SIGILL.
   The handler asks the real processor and clears the bits that MASKED_CPUID lists, as words
   "leaf:subleaf:register:mask" in hexadecimal digits; registers are a, b, c and d. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct cleared { unsigned leaf, subleaf, mask; int place; };

static struct cleared rules[64];
static int count;

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)registers[REG_RIP];
    unsigned found[4], leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX];
    (void)info;
    if (code[0] != 0x0f || code[1] != 0x0b) {
        signal(number, SIG_DFL);
        return;
    }
    __cpuid_count(leaf, subleaf, found[0], found[1], found[2], found[3]);
    for (int i = 0; i < count; i++)
        if (rules[i].leaf == leaf && rules[i].subleaf == subleaf)
            found[rules[i].place] &= ~rules[i].mask;
    registers[REG_RAX] = found[0];
    registers[REG_RBX] = found[1];
    registers[REG_RCX] = found[2];
    registers[REG_RDX] = found[3];
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void prepare(void) {
    const char *text = getenv("MASKED_CPUID");
    struct sigaction action;
    memset(&action, 0, sizeof action);
    while (text != NULL && *text != '\0' && count < 64) {
        char place;
        int length = 0;
        struct cleared *rule = &rules[count];
        if (sscanf(text, "%x:%x:%c:%x%n", &rule->leaf, &rule->subleaf, &place, &rule->mask,
                   &length) != 4)
            abort();
        rule->place = place - 'a';
        count++;
        text += length;
        while (*text == ' ')
            text++;
    }
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, NULL);
}
