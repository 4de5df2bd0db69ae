// Renders a chart as Helm does, of the parts that Helm itself is made of: Go's text/template, Sprig and sigs.k8s.io/yaml, in Debian's
// versions. There is no helm in Debian or npm, so what is Helm's own is done again here, as its engine documents it: its functions
// that the chart may use, how values are merged, what templates are given. Not here: subcharts, lookup, tpl, files, hooks, the check of
// values.schema.json (the test does that).
//
// In: JSON {"chart": folder, "values": {…}, "release": name, "namespace": name}, one a line. Out: a line for each, JSON
// {"files": {path: text}, "values": merged} or {"error": message}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type request struct {
	Chart     string         `json:"chart"`
	Values    map[string]any `json:"values"`
	Release   string         `json:"release"`
	Namespace string         `json:"namespace"`
}

type answer struct {
	Files  map[string]string `json:"files,omitempty"`
	Values map[string]any    `json:"values,omitempty"`
	Error  string            `json:"error,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked request
		var given answer
		err := json.Unmarshal(in.Bytes(), &asked)
		if err == nil {
			given.Files, given.Values, err = render(asked)
		}
		if err != nil {
			given.Error = err.Error()
		}
		if err := out.Encode(given); err != nil {
			panic(err)
		}
	}
	if in.Err() != nil {
		panic(in.Err())
	}
}

// The rendered files, and the values that they were given.
func render(asked request) (map[string]string, map[string]any, error) {
	values, err := readMap(filepath.Join(asked.Chart, "values.yaml"))
	if err != nil {
		return nil, nil, err
	}
	chart, err := readMap(filepath.Join(asked.Chart, "Chart.yaml"))
	if err != nil {
		return nil, values, err
	}
	values = merge(asked.Values, values)
	top := map[string]any{
		"Values": values,
		"Chart":  map[string]any{"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
		"Release": map[string]any{
			"Name": asked.Release, "Namespace": asked.Namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1,
		},
	}
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))
	folder := filepath.Join(asked.Chart, "templates")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, values, err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, values, err
		}
		if _, err := all.New(entry.Name()).Parse(string(text)); err != nil {
			return nil, values, err
		}
	}
	files := map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "_") {
			continue
		}
		text, err := execute(all, entry.Name(), top)
		if err != nil {
			return nil, values, err
		}
		// Go writes this for what is missing, and Helm takes it out.
		files[entry.Name()] = strings.ReplaceAll(text, "<no value>", "")
	}
	return files, values, nil
}

func readMap(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := map[string]any{}
	return read, yaml.UnmarshalStrict(text, &read)
}

func execute(all *template.Template, name string, data any) (string, error) {
	var text strings.Builder
	err := all.ExecuteTemplate(&text, name, data)
	return text.String(), err
}

func functions(all *template.Template) template.FuncMap {
	known := sprig.TxtFuncMap()
	delete(known, "env")
	delete(known, "expandenv")
	known["include"] = func(name string, data any) (string, error) { return execute(all, name, data) }
	known["fail"] = func(message string) (string, error) { return "", errors.New(message) }
	known["toYaml"] = func(value any) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	return known
}

// Maps are merged, all else of what is given replaces what the chart has, and null takes it away.
func merge(given, own map[string]any) map[string]any {
	merged := map[string]any{}
	for key, value := range own {
		if value != nil {
			merged[key] = value
		}
	}
	for key, value := range given {
		mine, wasMap := own[key].(map[string]any)
		more, isMap := value.(map[string]any)
		switch {
		case value == nil && own[key] != nil:
			delete(merged, key)
		case wasMap && isMap:
			merged[key] = merge(more, mine)
		case wasMap:
			// Helm warns, and goes on with the chart's.
		default:
			merged[key] = value
		}
	}
	return merged
}
