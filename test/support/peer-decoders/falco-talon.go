// Decodes lines as Falco Talon does: one line of JSON in, one out: {"error", "event", "pod", "namespace", "ip", "port"}.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"peer"
)

type answer struct {
	Error     string      `json:"error,omitempty"`
	Event     *peer.Event `json:"event"`
	Pod       string      `json:"pod"`
	Namespace string      `json:"namespace"`
	IP        string      `json:"ip"`
	Port      string      `json:"port"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		event, err := peer.DecodeEvent(bytes.NewReader(in.Bytes()))
		it := answer{Event: event}
		if err != nil {
			it.Error = err.Error()
		} else {
			it.Pod, it.Namespace = event.GetPodName(), event.GetNamespaceName()
			it.IP, it.Port = event.GetRemoteIP(), event.GetRemotePort()
		}
		if err := out.Encode(it); err != nil {
			panic(err)
		}
	}
}
