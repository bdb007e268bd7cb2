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

{{- /* As a Project's spec.objectStore has it; "" for none. */}}
{{- define "postbase.objectStore" -}}
{{- with .Values.objectStore }}
{{- if .embedded.enabled }}
{{- $name := printf "%s-object-store" $.Release.Name }}
{{- $store := dict "bucket" "postbase" "pathStyle" true "endpoint" (printf "http://%s.%s.svc" $name $.Release.Namespace) "credentialsSecretRef" (dict "name" (.embedded.existingSecret | default $name)) }}
{{- with .publicEndpoint }}{{ $_ := set $store "publicEndpoint" . }}{{ end }}
{{- toJson $store }}
{{- else if .bucket }}
{{- $store := dict "bucket" .bucket "pathStyle" .pathStyle }}
{{- range $key := list "endpoint" "publicEndpoint" "region" "prefix" }}
{{- with get $.Values.objectStore $key }}{{ $_ := set $store $key . }}{{ end }}
{{- end }}
{{- if .sse.mode }}
{{- $sse := dict "mode" .sse.mode }}
{{- with .sse.kmsKeyId }}{{ $_ := set $sse "kmsKeyId" . }}{{ end }}
{{- $_ := set $store "sse" $sse }}
{{- end }}
{{- with .credentialsSecret }}{{ $_ := set $store "credentialsSecretRef" (dict "name" .) }}{{ end }}
{{- with .caSecret }}{{ $_ := set $store "caSecretRef" (dict "name" . "key" "ca.crt") }}{{ end }}
{{- toJson $store }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What the schema cannot tell, or not in a sentence that helps. */}}
{{- define "postbase.refusals" -}}
{{- range .Values.watch.namespaces }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" .) }}
{{- fail (printf "watch.namespaces: %q is not the name of a namespace. List each by its name: rights are given in each by itself, and Kubernetes has none by pattern." .) }}
{{- end }}
{{- end }}
{{- if and .Values.objectStore.embedded.enabled .Values.objectStore.bucket }}
{{- fail "objectStore.bucket and objectStore.embedded.enabled: which of the two is meant? Take out the bucket, or set objectStore.embedded.enabled to false." }}
{{- end }}
{{- if .Values.gateway.enabled }}
{{- if .Values.watch.namespaces }}
{{- fail "gateway.enabled and watch.namespaces: the gateway's tenants get a namespace each, which the operator makes; that needs cluster-wide rights. Take out watch.namespaces, or install the gateway with another release." }}
{{- end }}
{{- if and .Values.gateway.httpRoute.enabled (not .Values.gateway.httpRoute.parentRefs) }}
{{- fail "gateway.httpRoute.parentRefs must name the Gateways that take the route." }}
{{- end }}
{{- if and .Values.gateway.ingress.enabled (not .Values.gateway.ingress.host) }}
{{- fail "gateway.ingress.host must name the host by which the API is reached." }}
{{- end }}
{{- end }}
{{- with .Values.railway }}
{{- if and (or .projectId .environmentId) (not .tokenSecretRef.name) }}
{{- fail "railway.projectId, railway.environmentId: without railway.tokenSecretRef.name nothing is made there. Name the Secret with the token, or take these out." }}
{{- end }}
{{- if and .regions (not .tokenSecretRef.name) }}
{{- fail "railway.regions: without railway.tokenSecretRef.name no database can be made there. Name the Secret with the token, or take these out." }}
{{- end }}
{{- range .regions }}
{{- if has . $.Values.regions }}
{{- fail (printf "railway.regions: %q is in regions, too, and a region is in one place." .) }}
{{- end }}
{{- end }}
{{- if .tokenSecretRef.name }}
{{- if and (eq .tokenKind "Project") (or .projectId .environmentId) }}
{{- fail "railway.projectId, railway.environmentId: a project's token is for its own project and environment, and these would not be looked at. Take them out, or set railway.tokenKind to Workspace or Account." }}
{{- end }}
{{- if and (ne .tokenKind "Project") (not (and .projectId .environmentId)) }}
{{- fail (printf "railway.projectId and railway.environmentId must be set with railway.tokenKind %s, as the token is for more than one: the ids are in the address of the environment's page on Railway." .tokenKind) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.operator.extraEnv }}
{{- if hasPrefix "POSTBASE_" .name }}
{{- fail (printf "operator.extraEnv: %s is the chart's own to set, so that rights, probes and settings agree; see values.yaml for the value that sets it." .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The newest version that is served, unless one is chosen. */}}
{{- define "postbase.gatewayVersion" -}}
{{- .Values.gateway.postgresVersion | default (.Values.postgresImages | default (dict "17" "") | keys | sortAlpha | last) }}
{{- end }}
