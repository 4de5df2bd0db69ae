// Decodes requests as an OpenTelemetry collector does: one {"json": bool, "body": base64} in, one line out: the request in
// OTLP's JSON, as the collector writes it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
)

type request struct {
	JSON bool   `json:"json"`
	Body []byte `json:"body"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var it request
		if err := json.Unmarshal(in.Bytes(), &it); err != nil {
			panic(err)
		}
		decode := (&plog.ProtoUnmarshaler{}).UnmarshalLogs
		if it.JSON {
			decode = (&plog.JSONUnmarshaler{}).UnmarshalLogs
		}
		logs, err := decode(it.Body)
		if err != nil {
			panic(err)
		}
		out, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", out)
	}
}
