/* Reads plans from stdin, each behind its length (u32, little endian), and
 * answers each with one byte: 0 where the init's reader accepts the plan,
 * otherwise the number of the check that refused it. It ends with its input.
 *
 * Each plan lies alone in memory of just its size, so that the sanitizer sees a
 * read beyond the end. */
#include <ctx.h>

void *malloc(size_t n);
void free(void *p);
void *memset(void *to, int byte, size_t n);

static struct ctx ctx;

/* Returns 1 when n bytes have come, 0 at the end of the input. */
static int get(void *to, size_t n)
{
	u8 *p = to;

	while (n > 0) {
		long r = sys_read(0, p, n);
		if (r <= 0)
			return 0;
		p += r;
		n -= (size_t)r;
	}
	return 1;
}

/* Touches what the interpreter relies on after the reader has accepted. */
static u32 touch(const struct ctx *c)
{
	u32 sum = 0;

	for (u32 i = 0; i < c->nops; i++) {
		const struct op *op = &c->ops[i];
		for (int j = 0; j < 3; j++)
			for (const char *s = op_str(c, op, j); *s; s++)
				sum += (u8)*s;
		for (int j = 0; j < 2; j++) {
			u32 len;
			const u8 *b = op_blob(c, op, j, &len);
			for (u32 k = 0; k < len; k++)
				sum += b[k];
		}
		sum += op_infos[op->code].phase;
	}
	return sum;
}

int main(void)
{
	static volatile u32 sink;
	u32 size;

	while (get(&size, sizeof size)) {
		u8 *plan = malloc(size);
		if (!plan || !get(plan, size))
			return 1;
		(void)memset(&ctx, 0, sizeof ctx);
		u8 verdict = (u8)plan_check(&ctx, plan, size);
		if (verdict == 0)
			sink += touch(&ctx);
		free(plan);
		if (sys_write(1, &verdict, 1) != 1)
			return 1;
	}
	return 0;
}
