/* Coroutines, with what the sanitizers must be told of changes of stack.
 *
 * On x86-64 a switch saves the registers that a callee keeps and changes the stack pointer.
 * Elsewhere it is swapcontext, which also sets the signal mask, by a system call, and takes most of
 * the time of a simulation. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/sim_internal.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define asan_leave(save, stack, size) __sanitizer_start_switch_fiber((save), (stack), (size))
#define asan_arrive(saved, stack, size) __sanitizer_finish_switch_fiber((saved), (stack), (size))
#else
#define asan_leave(save, stack, size) ((void)(save))
#define asan_arrive(saved, stack, size) ((void)(saved))
#define __asan_unpoison_memory_region(start, size) ((void)0)
#endif

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define fiber_create() __tsan_create_fiber(0)
#define fiber_destroy(fiber) __tsan_destroy_fiber(fiber)
#define fiber_this() __tsan_get_current_fiber()
#define fiber_switch(fiber) __tsan_switch_to_fiber((fiber), 0)
#else
#define fiber_create() NULL
#define fiber_destroy(fiber) ((void)(fiber))
#define fiber_this() NULL
#define fiber_switch(fiber) ((void)(fiber))
#endif

#if defined(__x86_64__) && !defined(SIM_UCONTEXT)

void sim_stack_switch(void **save_here, void *go_there);
void sim_stack_begin(void);

__asm__(
    ".text\n"
    ".globl sim_stack_switch\n"
    ".type sim_stack_switch, @function\n"
    "sim_stack_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size sim_stack_switch, . - sim_stack_switch\n"
    /* Where a new stack begins: r12 is the argument and r13 the function, which never returns. */
    ".globl sim_stack_begin\n"
    ".type sim_stack_begin, @function\n"
    "sim_stack_begin:\n"
    "    .cfi_startproc\n"
    "    .cfi_undefined rip\n"
    "    movq %r12, %rdi\n"
    "    call *%r13\n"
    "    ud2\n"
    "    .cfi_endproc\n"
    ".size sim_stack_begin, . - sim_stack_begin\n");

static void machine_init(struct sim_machine *machine, uint8_t *stack, size_t size,
                         void (*run)(struct sim_co *co), struct sim_co *co)
{
    void **top = (void **)(stack + size);
    *--top = NULL;
    *--top = NULL; /* the stack pointer is a multiple of 16 before the call in sim_stack_begin */
    *--top = (void *)sim_stack_begin;
    *--top = NULL;        /* rbp: the end of the chain of frames */
    *--top = NULL;        /* rbx */
    *--top = co;          /* r12 */
    *--top = (void *)run; /* r13 */
    *--top = NULL;        /* r14 */
    *--top = NULL;        /* r15 */
    machine->stack_pointer = top;
}

static void machine_switch(struct sim_machine *from, struct sim_machine *to)
{
    sim_stack_switch(&from->stack_pointer, to->stack_pointer);
}

#else

/* makecontext passes ints only. */
static void machine_begin(unsigned run_high, unsigned run_low, unsigned co_high, unsigned co_low)
{
    void (*run)(struct sim_co * co) =
        (void (*)(struct sim_co *))((uintptr_t)run_high << 32 | run_low);
    run((struct sim_co *)((uintptr_t)co_high << 32 | co_low));
}

static void machine_init(struct sim_machine *machine, uint8_t *stack, size_t size,
                         void (*run)(struct sim_co *co), struct sim_co *co)
{
    must(getcontext(&machine->context) == 0);
    machine->context.uc_stack.ss_sp = stack;
    machine->context.uc_stack.ss_size = size;
    machine->context.uc_link = NULL;
    makecontext(&machine->context, (void (*)(void))machine_begin, 4,
                (unsigned)((uintptr_t)run >> 32), (unsigned)(uintptr_t)run,
                (unsigned)((uintptr_t)co >> 32), (unsigned)(uintptr_t)co);
}

static void machine_switch(struct sim_machine *from, struct sim_machine *to)
{
    swapcontext(&from->context, &to->context);
}

#endif

/* Free stacks that are kept for the next coroutine. */
#define STACKS_KEPT_MAX 64

static uint8_t *stack_take(struct sim *sim)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (sim->stack_count > 0)
        return sim->stacks[--sim->stack_count];
    uint8_t *stack = mmap(NULL, SIM_STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    must(stack != MAP_FAILED);
    must(mprotect(stack, page, PROT_NONE) == 0); /* an overflow faults */
    return stack;
}

/* An abandoned stack is full of the sanitizer's red zones. */
static void stack_give(struct sim *sim, uint8_t *stack)
{
    __asan_unpoison_memory_region(stack, SIM_STACK_BYTES);
    if (sim->stack_count < STACKS_KEPT_MAX)
        sim->stacks[sim->stack_count++] = stack;
    else
        munmap(stack, SIM_STACK_BYTES);
}

void sim_stacks_free(struct sim *sim)
{
    while (sim->stack_count > 0)
        munmap(sim->stacks[--sim->stack_count], SIM_STACK_BYTES);
    sim_free(sim->stacks);
}

/* From the coroutine under way to the scheduler. */
static void switch_out(struct sim_co *co)
{
    struct sim *sim = co->node->sim;
    void *saved = NULL;
    asan_leave(co->ended ? NULL : &saved, sim->scheduler_stack, sim->scheduler_stack_size);
    fiber_switch(sim->scheduler_fiber);
    machine_switch(&co->machine, &sim->scheduler);
    asan_arrive(saved, NULL, NULL);
}

static void co_main(struct sim_co *co)
{
    struct sim *sim = co->node->sim;
    asan_arrive(NULL, &sim->scheduler_stack, &sim->scheduler_stack_size);
    (void)sim;
    co->run(co);
    co->ended = true;
    switch_out(co);
    must(false);
}

struct sim_co *sim_co_start(struct sim_node *node, bool may_block, void (*run)(struct sim_co *co),
                            void *context)
{
    struct sim *sim = node->sim;
    struct sim_co *co = sim_alloc(sizeof *co);
    if (!sim->stacks)
        sim->stacks = sim_alloc(STACKS_KEPT_MAX * sizeof *sim->stacks);
    co->node = node;
    co->id = ++sim->next_co_id;
    co->run = run;
    co->context = context;
    co->may_block = may_block;
    co->ready_ns = sim_time(sim) + sim_random_between(&sim->schedule, 1000, 100000);
    co->stack = stack_take(sim);
    co->fiber = fiber_create();
    machine_init(&co->machine, co->stack, SIM_STACK_BYTES, co_main, co);
    list_push_back(&sim->cos, &co->link);
    node->co_count++;
    return co;
}

void sim_co_resume(struct sim_co *co)
{
    struct sim *sim = co->node->sim;
    void *saved = NULL;
    must(!sim->current);
    sim->current = co;
    co->local_ns = 0;
    co->waiting = false;
    struct sim_node *payer = sim_memory_charge(sim, co->node);
    sim->scheduler_fiber = fiber_this();
    asan_leave(&saved, co->stack, SIM_STACK_BYTES);
    fiber_switch(co->fiber);
    machine_switch(&sim->scheduler, &co->machine);
    asan_arrive(saved, NULL, NULL);
    sim_memory_charge(sim, payer);
    sim->current = NULL;
}

void sim_co_free(struct sim_co *co)
{
    struct sim *sim = co->node->sim;
    must(sim->current != co);
    co->node->co_count--;
    list_remove(&co->link);
    if (co->owns_context)
        sim_free(co->context);
    fiber_destroy(co->fiber);
    stack_give(sim, co->stack);
    sim_free(co);
}

void sim_co_wait(struct sim_co *co, int64_t until_ns, bool waiting)
{
    must(co->node->sim->current == co);
    co->ready_ns = until_ns;
    co->waiting = waiting;
    switch_out(co);
}

void sim_co_wake(struct sim_co *co, int64_t delay_ns)
{
    int64_t at_ns = sim_time(co->node->sim) + delay_ns;
    if (co->waiting && co->ready_ns > at_ns)
        co->ready_ns = at_ns;
}
