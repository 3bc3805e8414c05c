package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/websocket"
)

// Channels of the protocol v4.channel.k8s.io: the first byte of each message.
const (
	chanStdin, chanStdout, chanStderr = 0, 1, 2
	chanStatus, chanResize            = 3, 4
)

// status is what ends an exec: k8s.io/apimachinery's Status, as far as it counts.
type status struct {
	Status  string
	Message string
	Details struct {
		Causes []struct{ Reason, Message string }
	}
}

// stream speaks with the address that Exec or Attach gave, and returns the exit
// code. A line "size ROWS COLS" on stdin resizes a terminal; any other is typed.
func stream(address string, tty bool) (int, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	u.Scheme = "ws"
	config, err := websocket.NewConfig(u.String(), "http://"+u.Host)
	if err != nil {
		return 0, err
	}
	config.Protocol = []string{"v4.channel.k8s.io"}
	ws, err := websocket.DialConfig(config)
	if err != nil {
		return 0, err
	}
	defer ws.Close()
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if err := send(ws, in.Text(), tty); err != nil {
				return // the receiver tells why
			}
		}
	}()
	for {
		var msg []byte
		if err := websocket.Message.Receive(ws, &msg); errors.Is(err, io.EOF) {
			return 0, nil // attach has no status
		} else if err != nil {
			return 0, err
		}
		if len(msg) < 2 {
			continue // the announcement of a channel
		}
		switch msg[0] {
		case chanStdout:
			_, err = os.Stdout.Write(msg[1:])
		case chanStderr:
			_, err = os.Stderr.Write(msg[1:])
		case chanStatus:
			return exitCode(msg[1:])
		}
		if err != nil {
			return 0, err
		}
	}
}

func send(ws *websocket.Conn, line string, tty bool) error {
	if size, ok := strings.CutPrefix(line, "size "); ok && tty {
		var rows, cols uint16
		if _, err := fmt.Sscan(size, &rows, &cols); err != nil {
			return err
		}
		text, err := json.Marshal(map[string]uint16{"Height": rows, "Width": cols})
		if err != nil {
			return err
		}
		return websocket.Message.Send(ws, append([]byte{chanResize}, text...))
	}
	return websocket.Message.Send(ws, append([]byte{chanStdin}, line+"\n"...))
}

func exitCode(text []byte) (int, error) {
	var s status
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	if s.Status == "Success" {
		return 0, nil
	}
	for _, c := range s.Details.Causes {
		if c.Reason == "ExitCode" {
			return strconv.Atoi(c.Message)
		}
	}
	return 0, errors.New(s.Message)
}
