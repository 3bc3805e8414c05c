/* The reader checks the whole plan before the first op runs. It refuses exactly
 * what internal/plan/decode.go refuses; a fuzz test holds the two together. */
#define PLAN_TABLE
#include "ctx.h"

static int check_str(const struct ctx *c, u32 off)
{
	if (off == 0)
		return 0;
	if (off < 4 || off >= c->data_size || c->data[off] == 0)
		return -1;
	for (u32 i = off; i < c->data_size; i++)
		if (c->data[i] == 0)
			return 0;
	return -1;
}

static int check_blob(const struct ctx *c, u32 off, int is_list, u32 *ret_count)
{
	u32 len;

	*ret_count = 0;
	if (off == 0)
		return 0;
	if (off % 4 || off < 4 || (u64)off + 4 > c->data_size)
		return -1;
	mem_copy(&len, c->data + off, 4);
	if (len == 0 || (u64)len > (u64)c->data_size - off - 4)
		return -1;
	const char *b = c->data + off + 4;
	if (is_list && b[len - 1] != 0)
		return -1;
	for (u32 i = 0; i < len; i++)
		if (b[i] == 0)
			(*ret_count)++;
	return 0;
}

static int check_num(const struct ctx *c, u8 kind, u64 n)
{
	switch ((enum plan_kind)kind) {
	case KIND_SLOT_IN:
	case KIND_SLOT_OUT:
		return n == 0 || n >= c->nslots ? -1 : 0;
	case KIND_SLOT_OPT:
		return n >= c->nslots ? -1 : 0;
	case KIND_NUM:
		return 0;
	case KIND_NONE:
	case KIND_STR:
	case KIND_STR_OPT:
	case KIND_LIST:
	case KIND_BYTES:
		break;
	}
	return n ? -1 : 0;
}

static int check_op(const struct ctx *c, const struct op *op, u32 *counts)
{
	if (op->code == 0 || op->code >= OP_COUNT)
		return 20;
	const struct op_info *info = &op_infos[op->code];
	if (op->side != info->side)
		return 21;
	if ((op->phase < info->phase || op->phase > info->last) && !(info->early && op->phase == PLAN_PHASE_BESIDE))
		return 21;
	if (op->flags & ~info->flags)
		return 22;
	for (int i = 0; i < 4; i++)
		if (check_num(c, info->num[i], op->num[i]))
			return 23;
	for (int i = 0; i < 3; i++) {
		if (check_str(c, op->str[i]))
			return 24;
		if (info->str[i] == KIND_NONE ? op->str[i] != 0 : info->str[i] == KIND_STR && op->str[i] == 0)
			return 25;
	}
	for (int i = 0; i < 2; i++) {
		if (check_blob(c, op->blob[i], info->blob[i] == KIND_LIST, &counts[i]))
			return 26;
		if (info->blob[i] == KIND_NONE && op->blob[i] != 0)
			return 27;
	}
	return op->zero ? 28 : 0;
}

int plan_check(struct ctx *c, const u8 *plan, size_t size)
{
	struct plan_header h;
	u32 args = 0, env = 0;
	u8 phase = 0;

	if (size < PLAN_HEADER_SIZE + 4 || size > PLAN_MAX_SIZE)
		return 1;
	mem_copy(&h, plan, sizeof h);
	if (h.magic != PLAN_MAGIC)
		return 2;
	if (h.abi != PLAN_ABI)
		return 3;
	if (h.total != size)
		return 4;
	if (h.nops > PLAN_MAX_OPS)
		return 5;
	if (h.data != PLAN_HEADER_SIZE + h.nops * PLAN_OP_SIZE || (u64)h.data + 4 > size)
		return 6;
	if (h.slots < PLAN_FIRST_DYNAMIC || h.slots > PLAN_MAX_SLOTS)
		return 7;
	for (int i = 0; i < 7; i++)
		if (h.zero[i])
			return 8;
	c->plan = plan;
	c->ops = (const struct op *)(plan + PLAN_HEADER_SIZE);
	c->data = (const char *)plan + h.data;
	c->nops = h.nops;
	c->plan_size = h.total;
	c->data_size = (u32)size - h.data;
	c->nslots = h.slots;
	for (int i = 0; i < 4; i++)
		if (c->data[i])
			return 9;
	for (u32 i = 0; i < c->nops; i++) {
		const struct op *op = &c->ops[i];
		u32 n[2] = {0, 0};
		int bad = check_op(c, op, n);
		if (bad)
			return bad;
		if (op->phase < phase)
			return 29;
		phase = op->phase;
		if ((op->code == OP_EXEC || op->code == OP_HOOK_RUN) && n[0] > args)
			args = n[0];
		if (op->code == OP_ENV && n[0] > env)
			env = n[0];
		if (op->code == OP_HOOK_RUN && n[1] > env)
			env = n[1];
	}
	if (h.scratch != args + env + 4)
		return 10;
	c->vec_size = h.scratch;
	c->args_room = args + 1;
	return 0;
}
