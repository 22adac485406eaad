"""MCP server on the Python SDK 2.3, both eras, no sessions, on /mcp/LABEL: writes what it ran. env: PORT, RAN (file)

One line of JSON for each request a handler was given: label (last segment of the path), method, target
(tool, prompt or URI).
"""
import json, os
import mcp_types as t
import uvicorn
from mcp.server.lowlevel.server import Server

ran_file = open(os.environ['RAN'], 'a', buffering=1)

def ran(ctx, method, target=None):
    label = ctx.request.url.path.rsplit('/', 1)[-1]
    ran_file.write(json.dumps({'label': label, 'method': method, 'target': target}) + '\n')

SCHEMA = {'type': 'object', 'properties': {'message': {'type': 'string'}, 'region': {'type': 'string', 'x-mcp-header': 'Region'},
                                             'count': {'type': 'integer', 'x-mcp-header': 'Count'}, 'dry': {'type': 'boolean', 'x-mcp-header': 'Dry'}, 'place': {'type': 'string', 'x-mcp-header': 'City'}}}
TOOLS = [t.Tool(name=name, input_schema=SCHEMA) for name in ('echo', 'secret', 'grüße')]

async def list_tools(ctx, params):
    ran(ctx, 'tools/list'); return t.ListToolsResult(tools=TOOLS)
async def call_tool(ctx, params):
    ran(ctx, 'tools/call', params.name)
    return t.CallToolResult(content=[t.TextContent(type='text', text=f'ran {params.name}')])
async def list_prompts(ctx, params):
    ran(ctx, 'prompts/list'); return t.ListPromptsResult(prompts=[t.Prompt(name='hello')])
async def get_prompt(ctx, params):
    ran(ctx, 'prompts/get', params.name); return t.GetPromptResult(messages=[])
async def list_resources(ctx, params):
    ran(ctx, 'resources/list'); return t.ListResourcesResult(resources=[])
async def read_resource(ctx, params):
    ran(ctx, 'resources/read', str(params.uri)); return t.ReadResourceResult(contents=[])

server = Server('calls', on_list_tools=list_tools, on_call_tool=call_tool, on_list_prompts=list_prompts,
                on_get_prompt=get_prompt, on_list_resources=list_resources, on_read_resource=read_resource,
                get_tool_input_schema=lambda _: SCHEMA)     # else the SDK asks our own tools/list first
app = server.streamable_http_app(streamable_http_path='/mcp/{label}', stateless_http=True)
uvicorn.run(app, host='127.0.0.1', port=int(os.environ['PORT']), log_level='warning')
