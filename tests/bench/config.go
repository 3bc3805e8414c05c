package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// object is a JSON object of a config. The benchmark edits configs as JSON, so
// that it depends on no version of the runtime-spec's Go types.
type object = map[string]any

// volumes is the number of bind mounts in the docker variant besides the ten
// that Docker always makes: 20 mounts in all.
const volumes = 10

// manyBinds is the number of bind mounts that bindsBundle adds.
const manyBinds = 200

// volumePath returns the mount target of volume i inside the container.
func volumePath(i int) string { return fmt.Sprintf("/volume%d", i) }

// etcFiles are the files of /etc that Docker binds into a container.
var etcFiles = []string{"resolv.conf", "hostname", "hosts"}

// makeConfig returns the config of a variant with its root at root and its
// bind sources below bundle.
func makeConfig(v variant, root, bundle string, o bundleOptions) (object, error) {
	var config object
	if err := json.Unmarshal(defaultConfig, &config); err != nil {
		return nil, fmt.Errorf("testdata/default.json: %w", err)
	}
	linux := config["linux"].(object)
	process := config["process"].(object)
	switch v {
	case minimalBundle:
		minimise(config, process, linux)
	case dockerBundle:
		dockerise(config, process, linux, bundle)
		if err := addProfile(linux); err != nil {
			return nil, err
		}
	case seccompBundle:
		if err := addProfile(linux); err != nil {
			return nil, err
		}
	case bindsBundle:
		mounts := config["mounts"].([]any)
		for i := range manyBinds {
			mounts = append(mounts, bind(filepath.Join(bundle, fmt.Sprintf("volume%d", i)), volumePath(i), "rprivate"))
		}
		config["mounts"] = mounts
	}
	process["args"] = o.args
	config["root"].(object)["path"] = root
	linux["cgroupsPath"] = o.cgroupsPath
	if o.memoryLimit != 0 {
		resources(linux)["memory"] = object{"limit": o.memoryLimit}
	}
	return config, nil
}

// addProfile adds Docker's default system call filter.
func addProfile(linux object) error {
	var profile object
	if err := json.Unmarshal(seccompProfile, &profile); err != nil {
		return fmt.Errorf("testdata/seccomp.json: %w", err)
	}
	if runtime.GOARCH == "arm64" { // the file lists those of amd64
		profile["architectures"] = []string{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}
	}
	linux["seccomp"] = profile
	return nil
}

// resources returns linux.resources and makes it when it is absent.
func resources(linux object) object {
	if _, ok := linux["resources"]; !ok {
		linux["resources"] = object{}
	}
	return linux["resources"].(object)
}

// minimise leaves what a container cannot do without.
func minimise(config, process, linux object) {
	delete(config, "hostname")
	delete(process, "capabilities")
	delete(process, "rlimits")
	config["mounts"] = []object{{"destination": "/proc", "type": "proc", "source": "proc"}}
	for _, key := range []string{"maskedPaths", "readonlyPaths", "resources"} {
		delete(linux, key)
	}
	linux["namespaces"] = []object{{"type": "pid"}, {"type": "mount"}}
}

// dockerise adds what Docker writes for `docker run` with ten volumes and
// memory, cpu and pids limits.
func dockerise(config, process, linux object, bundle string) {
	config["root"].(object)["readonly"] = false
	caps := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
	process["capabilities"] = object{"bounding": caps, "effective": caps, "permitted": caps}
	process["noNewPrivileges"] = false

	mounts := config["mounts"].([]any)
	for _, name := range etcFiles {
		mounts = append(mounts, bind(filepath.Join(bundle, name), "/etc/"+name, "rprivate"))
	}
	for i := range volumes {
		options := []string{"rprivate"}
		if i%2 == 1 {
			options = append(options, "ro")
		}
		mounts = append(mounts, bind(filepath.Join(bundle, fmt.Sprintf("volume%d", i)), volumePath(i), options...))
	}
	config["mounts"] = mounts

	linux["maskedPaths"] = append(linux["maskedPaths"].([]any), "/sys/devices/virtual/powercap", "/proc/interrupts")
	r := resources(linux)
	r["memory"] = object{"limit": 512 << 20}
	r["cpu"] = object{"shares": 512, "quota": 50000, "period": 100000}
	r["pids"] = object{"limit": 512}
	r["devices"] = dockerDevices()
}

// bind returns a recursive bind mount.
func bind(source, target string, options ...string) object {
	return object{"destination": target, "type": "bind", "source": source, "options": append([]string{"rbind"}, options...)}
}

// dockerDevices returns Docker's device rules: everything denied, then mknod
// allowed and the standard devices usable.
func dockerDevices() []object {
	rules := []object{
		{"allow": false, "access": "rwm"},
		{"allow": true, "type": "c", "access": "m"},
		{"allow": true, "type": "b", "access": "m"},
	}
	for _, d := range [][2]int{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {10, 200}} {
		rules = append(rules, object{"allow": true, "type": "c", "major": d[0], "minor": d[1], "access": "rwm"})
	}
	return append(rules, object{"allow": true, "type": "c", "major": 136, "access": "rwm"})
}

// writeSources makes the files and directories that a variant binds.
func writeSources(bundle string, v variant) error {
	count := map[variant]int{dockerBundle: volumes, bindsBundle: manyBinds}[v]
	for i := range count {
		if err := os.MkdirAll(filepath.Join(bundle, fmt.Sprintf("volume%d", i)), 0o755); err != nil {
			return err
		}
	}
	if v != dockerBundle {
		return nil
	}
	for _, name := range etcFiles {
		if err := os.WriteFile(filepath.Join(bundle, name), []byte("# made for the benchmark\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
