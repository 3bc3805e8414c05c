package specconv

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/internal/plan"
)

func (c *compiler) hooks() *specs.Hooks {
	if c.Spec.Hooks != nil {
		return c.Spec.Hooks
	}
	return &specs.Hooks{}
}

// maxHookTimeout, in seconds, is far from where a conversion to milli- or
// nanoseconds overflows.
const maxHookTimeout = 10 * 365 * 24 * 60 * 60

// checkHook refuses a hook that could not run.
func (c *compiler) checkHook(f string, h *specs.Hook) bool {
	before := c.errs.Len()
	if h.Path == "" {
		c.errs.Add(f+".path", "", "is required")
	} else if !strings.HasPrefix(h.Path, "/") {
		c.errs.Add(f+".path", h.Path, "must be absolute (config.md, POSIX-platform Hooks)")
	}
	c.noNUL(f+".path", h.Path)
	for i, a := range h.Args {
		c.noNUL(field.Index(f+".args", i), a)
	}
	for i, e := range h.Env {
		p := field.Index(f+".env", i)
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			c.errs.Add(p, e, "is not of the form NAME=value")
		}
		c.noNUL(p, e)
	}
	if t := h.Timeout; t != nil && (*t <= 0 || int64(*t) > maxHookTimeout) {
		why := "must be more than 0 seconds"
		if *t > 0 {
			why = "must be at most " + strconv.Itoa(maxHookTimeout) + " seconds, 10 years"
		}
		c.errs.Add(f+".timeout", strconv.Itoa(*t), why)
	}
	return c.errs.Len() == before
}

func timeout(h *specs.Hook) int {
	if h.Timeout != nil {
		return *h.Timeout
	}
	return 0
}

// hookArgs is the hook's argv; without args it is the path alone.
func hookArgs(h *specs.Hook) []string {
	if len(h.Args) > 0 {
		return h.Args
	}
	return []string{h.Path}
}

// emitRuntimeHooks runs the hooks that come before the root is changed: those
// of the runtime's namespaces by the host, while the init waits, and then those
// of the container's namespaces by the init.
func (c *compiler) emitRuntimeHooks() {
	hooks := c.hooks()
	//nolint:staticcheck // prestart is deprecated in the spec, and in use everywhere
	host := []struct {
		kind  string
		hooks []specs.Hook
	}{{"prestart", hooks.Prestart}, {"createRuntime", hooks.CreateRuntime}}
	if len(host[0].hooks)+len(host[1].hooks) > 0 {
		c.add(plan.SyncArrive("runtime-hooks"))
		if c.lateNet {
			// The record is to name the network namespace before a hook sets it up.
			c.add(plan.StateSave("linux.namespaces"))
		}
		for _, k := range host {
			for i := range k.hooks {
				h := &k.hooks[i]
				f := field.Index("hooks."+k.kind, i)
				if c.checkHook(f, h) {
					c.add(plan.Hook(f, k.kind, i, h.Path, hookArgs(h), h.Env, timeout(h), h.Env == nil))
				}
			}
		}
		c.add(plan.SyncAwait("runtime-hooks-done"))
	}
	c.emitContainerHooks("createContainer", hooks.CreateContainer, specs.StateCreated)
	// Those of later stages are checked now: a config is accepted whole or not at all.
	for _, k := range []struct {
		kind  string
		hooks []specs.Hook
	}{{"poststart", hooks.Poststart}, {"poststop", hooks.Poststop}} {
		for i := range k.hooks {
			c.checkHook(field.Index("hooks."+k.kind, i), &k.hooks[i])
		}
	}
}

func (c *compiler) emitStartHooks() {
	c.emitContainerHooks("startContainer", c.hooks().StartContainer, specs.StateCreated)
}

func (c *compiler) emitContainerHooks(kind string, hooks []specs.Hook, status specs.ContainerState) {
	if len(hooks) == 0 {
		return
	}
	head, tail := c.stateText(status)
	for i := range hooks {
		h := &hooks[i]
		f := field.Index("hooks."+kind, i)
		if c.checkHook(f, h) {
			op := plan.HookRun(f, i, h.Path, hookArgs(h), h.Env, timeout(h), head, tail).WithOutput(c.hookLogs[0], c.hookLogs[1])
			if kind == "startContainer" && c.limitsFiles() {
				op.Flags |= plan.FlagPrepared
			}
			c.add(op)
		}
	}
}

// limitsFiles says that the process may not be able to write the state for its
// hooks any more once it has its limits.
func (c *compiler) limitsFiles() bool {
	return slices.ContainsFunc(c.Spec.Process.Rlimits, func(r specs.POSIXRlimit) bool { return r.Type == "RLIMIT_FSIZE" })
}

// stateText is the state that a hook reads, cut in two where the pid goes: only
// the init knows its pid in the container's pid namespace (runtime.md, State).
func (c *compiler) stateText(status specs.ContainerState) (head, tail string) {
	b := ojson.AppendString([]byte(`{"ociVersion":`), specs.Version)
	b = ojson.AppendString(append(b, `,"id":`...), c.ID)
	b = ojson.AppendString(append(b, `,"status":`...), string(status))
	head = string(append(b, `,"pid":`...))
	b = ojson.AppendString([]byte(`,"bundle":`), c.Bundle)
	if len(c.Spec.Annotations) > 0 {
		keys := make([]string, 0, len(c.Spec.Annotations))
		for k := range c.Spec.Annotations {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for i, k := range keys {
			sep := `,`
			if i == 0 {
				sep = `,"annotations":{`
			}
			b = ojson.AppendString(append(b, sep...), k)
			b = ojson.AppendString(append(b, ':'), c.Spec.Annotations[k])
		}
		b = append(b, '}')
	}
	return head, string(append(b, '}'))
}
