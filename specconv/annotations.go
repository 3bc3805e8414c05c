package specconv

import (
	"strings"

	"github.com/tare-oci/tare/internal/plan"
)

// The annotations that change what is done. They are crun's, and engines set them.
const (
	// KeepGroups, "1", lets the process keep the caller's supplementary groups.
	KeepGroups = "run.oci.keep_original_groups"
	// HookStdout and HookStderr name files that the output of hooks is appended to.
	HookStdout = "run.oci.hooks.stdout"
	HookStderr = "run.oci.hooks.stderr"
)

// annotations are those above, sorted, as `tare features` lists them.
var annotations = [...]string{HookStderr, HookStdout, KeepGroups}

func annotation(key string) string { return "annotations[\"" + key + "\"]" }

// keepGroups says that the groups of the caller are left as they are.
func (c *compiler) keepGroups() bool { return c.Spec.Annotations[KeepGroups] == "1" }

func (c *compiler) checkAnnotations() {
	if len(c.Spec.Annotations) == 0 {
		return
	}
	c.checkUnitAnnotations()
	for _, k := range annotations {
		v, set := c.Spec.Annotations[k]
		switch {
		case !set:
		case k == KeepGroups:
			if v != "1" {
				c.warn(annotation(k), v, "has no effect unless it is 1")
			} else if len(c.Spec.Process.User.AdditionalGids) > 0 {
				c.warn("process.user.additionalGids", "", "are not set: "+annotation(k)+" keeps the caller's groups instead")
			}
		case !strings.HasPrefix(v, "/"):
			c.errs.Add(annotation(k), v, "must be an absolute path of a file for the output of hooks")
		default:
			c.noNUL(annotation(k), v)
		}
	}
}

// emitHookLogs opens the files for the hooks that run in the container's
// namespaces, where their paths mean something else.
func (c *compiler) emitHookLogs() {
	h := c.hooks()
	if len(h.CreateContainer)+len(h.StartContainer) == 0 {
		return
	}
	for i, k := range [...]string{HookStdout, HookStderr} {
		path := c.Spec.Annotations[k]
		if !strings.HasPrefix(path, "/") {
			continue
		}
		if i == 1 && path == c.Spec.Annotations[HookStdout] {
			c.hookLogs[1] = c.hookLogs[0]
			continue
		}
		c.hookLogs[i] = c.plan.NewSlot([...]string{"hook-stdout", "hook-stderr"}[i])
		c.add(plan.HookLog(annotation(k), path, c.hookLogs[i]))
	}
}

// gateLogs are the files that hooks of start will need.
func (c *compiler) gateLogs() (stdout, stderr plan.Slot) {
	if len(c.hooks().StartContainer) == 0 {
		return plan.NoSlot, plan.NoSlot
	}
	return c.hookLogs[0], c.hookLogs[1]
}

// propertyPrefix begins the annotations that set properties of the unit.
const propertyPrefix = "org.systemd.property."

// checkUnitAnnotations says where properties are lost.
func (c *compiler) checkUnitAnnotations() {
	if c.SystemdCgroup && !c.NoCgroup {
		return
	}
	for _, key := range sortedKeys(c.Spec.Annotations) {
		if strings.HasPrefix(key, propertyPrefix) {
			c.warn(annotation(key), c.Spec.Annotations[key], "has no effect without the systemd cgroup driver")
		}
	}
}
