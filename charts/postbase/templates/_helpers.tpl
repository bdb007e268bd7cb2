{{- define "postbase.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "postbase.labels" -}}
app.kubernetes.io/name: postbase
app.kubernetes.io/part-of: postbase
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Without versions: a chart that is new in nothing but its number restarts no pod. */}}
{{- define "postbase.podLabels" -}}
app.kubernetes.io/name: postbase
app.kubernetes.io/part-of: postbase
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "postbase.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "postbase.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* What the schema cannot tell, or not in a sentence that helps. */}}
{{- define "postbase.refusals" -}}
{{- range .Values.watch.namespaces }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" .) }}
{{- fail (printf "watch.namespaces: %q is not the name of a namespace. List each by its name: rights are given in each by itself, and Kubernetes has none by pattern." .) }}
{{- end }}
{{- end }}
{{- range .Values.operator.extraEnv }}
{{- if hasPrefix "POSTBASE_" .name }}
{{- fail (printf "operator.extraEnv: %s is the chart's own to set, so that rights, probes and settings agree; see values.yaml for the value that sets it." .name) }}
{{- end }}
{{- end }}
{{- end }}
