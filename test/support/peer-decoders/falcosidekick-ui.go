// Takes events as Falcosidekick UI does (AddEvent): one {"event", "outputs"} as JSON in, one line out: {"error", "event"}, where
// the event is what the UI keeps and shows.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"peer"

	validator "github.com/go-playground/validator/v10"
)

type answer struct {
	Error string     `json:"error,omitempty"`
	Event peer.Event `json:"event"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	validate := validator.New()
	for in.Scan() {
		payload := new(peer.Payload)
		err := json.Unmarshal(in.Bytes(), payload)
		if err == nil {
			err = validate.Struct(payload)
		}
		it := answer{Event: payload.Event}
		if err != nil {
			it.Error = err.Error()
		}
		it.Event.Output = peer.TrimPrefix(it.Event.Output)
		if err := out.Encode(it); err != nil {
			panic(err)
		}
	}
}
