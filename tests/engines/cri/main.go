// Command cri is a client of the Kubernetes container runtime interface for the
// scripts of tests/engines: what crictl is, as far as they need it. Each command
// is one call; configurations are JSON files in the form of the interface.
//
//	cri runp HANDLER POD.json             RunPodSandbox; prints the id
//	cri create POD-ID POD.json CTR.json   CreateContainer; prints the id
//	cri start|inspect|stats CTR-ID        inspect prints state, exit code, reason
//	cri stop CTR-ID SECONDS
//	cri update CTR-ID MEMORY-BYTES        UpdateContainerResources
//	cri exec CTR-ID WORD...               ExecSync; its output and exit code
//	cri stream [-t] CTR-ID WORD...        Exec, over a WebSocket, stdin one line at a time
//	cri attach CTR-ID                     Attach, the same way
//	cri rm CTR-ID | stopp POD-ID | rmp POD-ID
//	cri ip POD-ID | ps | pods
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// limit is how long one call may take; nothing takes that long.
const limit = 2 * time.Minute

func main() {
	address := os.Getenv("CRI_SOCKET")
	if address == "" {
		address = "/run/containerd/containerd.sock"
	}
	conn, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	code, err := call(ctx, v1.NewRuntimeServiceClient(conn), os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// read decodes a file of the interface's JSON.
func read[T any](file string) (*T, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

// least is how many words each command needs after its name.
var least = map[string]int{
	"runp": 2, "create": 3, "start": 1, "inspect": 1, "stats": 1, "stop": 2, "update": 2, "exec": 2, "stream": 2, "attach": 1,
	"rm": 1, "stopp": 1, "rmp": 1, "ip": 1, "ps": 0, "pods": 0,
}

func call(ctx context.Context, c v1.RuntimeServiceClient, words []string) (code int, err error) {
	if len(words) == 0 {
		return 0, errors.New("which call?")
	}
	verb, w := words[0], words[1:]
	if n, ok := least[verb]; !ok || len(w) < n {
		return 0, fmt.Errorf("%s: no such call, or words are missing", verb)
	}
	switch verb {
	case "runp":
		pod, err := read[v1.PodSandboxConfig](w[1])
		if err != nil {
			return 0, err
		}
		res, err := c.RunPodSandbox(ctx, &v1.RunPodSandboxRequest{Config: pod, RuntimeHandler: w[0]})
		return 0, show(err, func() { fmt.Println(res.PodSandboxId) })
	case "create":
		pod, err := read[v1.PodSandboxConfig](w[1])
		if err != nil {
			return 0, err
		}
		ctr, err := read[v1.ContainerConfig](w[2])
		if err != nil {
			return 0, err
		}
		res, err := c.CreateContainer(ctx, &v1.CreateContainerRequest{PodSandboxId: w[0], Config: ctr, SandboxConfig: pod})
		return 0, show(err, func() { fmt.Println(res.ContainerId) })
	case "start":
		_, err = c.StartContainer(ctx, &v1.StartContainerRequest{ContainerId: w[0]})
	case "stop":
		seconds, err := strconv.ParseInt(w[1], 10, 64)
		if err != nil {
			return 0, err
		}
		_, err = c.StopContainer(ctx, &v1.StopContainerRequest{ContainerId: w[0], Timeout: seconds})
		return 0, err
	case "update":
		bytes, err := strconv.ParseInt(w[1], 10, 64)
		if err != nil {
			return 0, err
		}
		_, err = c.UpdateContainerResources(ctx, &v1.UpdateContainerResourcesRequest{
			ContainerId: w[0], Linux: &v1.LinuxContainerResources{MemoryLimitInBytes: bytes, CpuShares: 512},
		})
		return 0, err
	case "exec":
		res, err := c.ExecSync(ctx, &v1.ExecSyncRequest{ContainerId: w[0], Cmd: w[1:], Timeout: 60})
		if err != nil {
			return 0, err
		}
		_, _ = os.Stdout.Write(res.Stdout)
		_, _ = os.Stderr.Write(res.Stderr)
		return int(res.ExitCode), nil
	case "stream":
		tty := w[0] == "-t"
		if tty {
			w = w[1:]
		}
		res, err := c.Exec(ctx, &v1.ExecRequest{ContainerId: w[0], Cmd: w[1:], Tty: tty, Stdin: true, Stdout: true, Stderr: !tty})
		if err != nil {
			return 0, err
		}
		return stream(res.Url, tty)
	case "attach":
		res, err := c.Attach(ctx, &v1.AttachRequest{ContainerId: w[0], Stdin: true, Stdout: true, Stderr: true})
		if err != nil {
			return 0, err
		}
		return stream(res.Url, false)
	case "rm":
		_, err = c.RemoveContainer(ctx, &v1.RemoveContainerRequest{ContainerId: w[0]})
	case "stopp":
		_, err = c.StopPodSandbox(ctx, &v1.StopPodSandboxRequest{PodSandboxId: w[0]})
	case "rmp":
		_, err = c.RemovePodSandbox(ctx, &v1.RemovePodSandboxRequest{PodSandboxId: w[0]})
	default:
		err = look(ctx, c, verb, w)
	}
	return 0, err
}

// look is the calls that only ask.
func look(ctx context.Context, c v1.RuntimeServiceClient, verb string, w []string) error {
	switch verb {
	case "inspect":
		res, err := c.ContainerStatus(ctx, &v1.ContainerStatusRequest{ContainerId: w[0]})
		return show(err, func() { fmt.Println(res.Status.State, res.Status.ExitCode, res.Status.Reason) })
	case "stats":
		res, err := c.ContainerStats(ctx, &v1.ContainerStatsRequest{ContainerId: w[0]})
		return show(err, func() {
			s := res.Stats
			fmt.Println("cpu", s.GetCpu().GetUsageCoreNanoSeconds().GetValue(), "memory", s.GetMemory().GetWorkingSetBytes().GetValue())
		})
	case "ip":
		res, err := c.PodSandboxStatus(ctx, &v1.PodSandboxStatusRequest{PodSandboxId: w[0]})
		return show(err, func() { fmt.Println(res.Status.State, res.Status.GetNetwork().GetIp()) })
	case "ps":
		res, err := c.ListContainers(ctx, &v1.ListContainersRequest{})
		return show(err, func() {
			for _, ctr := range res.Containers {
				fmt.Println(ctr.Id, ctr.Metadata.Name, ctr.State)
			}
		})
	}
	res, err := c.ListPodSandbox(ctx, &v1.ListPodSandboxRequest{})
	return show(err, func() {
		for _, pod := range res.Items {
			fmt.Println(pod.Id, pod.Metadata.Name, pod.State, pod.RuntimeHandler)
		}
	})
}

// show prints a result that is there.
func show(err error, print func()) error {
	if err == nil {
		print()
	}
	return err
}
