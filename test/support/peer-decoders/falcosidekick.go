// Decodes lines as Falcosidekick does (newFalcoPayload): one line of JSON in, one out: {"accepted", "error", "event"}, where the
// event is what it hands to its outputs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"peer"
)

type answer struct {
	Accepted bool              `json:"accepted"`
	Error    string            `json:"error,omitempty"`
	Event    peer.FalcoPayload `json:"event"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var it answer
		decoder := json.NewDecoder(bytes.NewReader(in.Bytes()))
		decoder.UseNumber()
		if err := decoder.Decode(&it.Event); err != nil {
			it.Error = err.Error()
		} else {
			it.Accepted = it.Event.Check()
		}
		// It gives each event an id of its own.
		it.Event.UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
		if err := out.Encode(it); err != nil {
			panic(err)
		}
	}
}
