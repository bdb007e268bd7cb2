// Command verdict says of an object what GitOps tools would say of it.
//
//	verdict kstatus           < object.json   as Flux, by the kstatus that Flux has a copy of
//	verdict health health.lua < object.json   as Argo CD, by the interpreter that it has
//
// Tests ask it, because neither tool runs there.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Verdict is printed as JSON.
type Verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	verdict, err := judge(os.Args[1:], os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(verdict)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

func judge(args []string, input io.Reader) (Verdict, error) {
	data, err := io.ReadAll(input)
	if err != nil {
		return Verdict{}, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		return Verdict{}, err
	}
	switch {
	case len(args) == 1 && args[0] == "kstatus":
		return kstatus(object)
	case len(args) == 2 && args[0] == "health":
		script, err := os.ReadFile(args[1])
		if err != nil {
			return Verdict{}, err
		}
		return health(object, string(script))
	}
	return Verdict{}, fmt.Errorf("usage: verdict kstatus | verdict health FILE.lua, an object's JSON on standard input")
}

func kstatus(object *unstructured.Unstructured) (Verdict, error) {
	result, err := status.Compute(object)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{result.Status.String(), result.Message}, nil
}

// What Argo CD opens for a script of argocd-cm, less its cut-down os: neither string nor math nor io.
var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

func health(object *unstructured.Unstructured, script string) (Verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(libraries[name]), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return Verdict{}, err
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), time.Second) // Argo CD's
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(script); err != nil {
		return Verdict{}, err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return Verdict{}, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return answered(answer)
}

func answered(answer *lua.LTable) (Verdict, error) {
	code, ok := answer.RawGetString("status").(lua.LString)
	if !ok {
		return Verdict{}, fmt.Errorf("the script returned no status")
	}
	switch code {
	case "Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown":
	default:
		return Verdict{}, fmt.Errorf("%q is no health that Argo CD knows", code)
	}
	switch message := answer.RawGetString("message").(type) {
	case lua.LString:
		return Verdict{string(code), string(message)}, nil
	case *lua.LNilType:
		return Verdict{string(code), ""}, nil
	default:
		return Verdict{}, fmt.Errorf("the script returned a message that is %s", message.Type())
	}
}

// value is JSON as Lua has it: a null is nil, so that its key is not there.
func value(state *lua.LState, json any) lua.LValue {
	switch json := json.(type) {
	case bool:
		return lua.LBool(json)
	case string:
		return lua.LString(json)
	case int64:
		return lua.LNumber(json)
	case float64:
		return lua.LNumber(json)
	case []any:
		table := state.CreateTable(len(json), 0)
		for _, item := range json {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(json))
		for key, item := range json {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}
